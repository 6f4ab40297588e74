"""Reaching a host: over SSH with a pinned host key, or this very computer.

Scanners and executors share this slice. It sees dataclasses only, keeps nothing, and decides nothing.
"""
