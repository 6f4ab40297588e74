"""Executors act on hosts. What they did is recorded on the host itself, and can be looked up there by the job's key."""
