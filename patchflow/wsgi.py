"""The WSGI entry point: `gunicorn patchflow.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "patchflow.settings")
application = get_wsgi_application()
