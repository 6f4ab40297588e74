"""Reaching things outside that may be hostile: guarded downloads and bounded decompression."""
