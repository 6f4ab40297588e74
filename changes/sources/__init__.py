"""Sources: repositories of packages, read and verified. Network in, dataclasses out."""
