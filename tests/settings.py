"""Patchflow's settings, and a toy app with machines of its own for the kernel's tests."""

from patchflow.settings import *  # noqa: F403
from patchflow.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.toys"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # speed; production keeps Django's own
ACCOUNT_RATE_LIMITS = False
WHITENOISE_AUTOREFRESH = True  # each test client builds the middleware, which lists every static file otherwise
