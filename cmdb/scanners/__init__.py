"""Scanners ask a host what it is, what it has and what it waits for. They change nothing on it."""
