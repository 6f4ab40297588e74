"""The Celery application. It carries one thing: "look at row N". What happened is in rows."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "patchflow.settings")

app = Celery("patchflow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
