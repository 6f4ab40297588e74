"""Feeds: one slice per way in which vendors publish advisories. Network in, dataclasses out."""
