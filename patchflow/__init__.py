"""Patchflow: decides, carries out and proves software updates."""

from patchflow.celery import app as celery_app

__all__ = ["celery_app"]
