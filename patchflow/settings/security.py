"""Sessions, cookies, headers: strict by default, stricter in production."""

from __future__ import annotations

from csp.constants import NONE, SELF

from patchflow.settings.base import PRODUCTION
from patchflow.settings.env import read

HTTPS: bool = read("bool", "PATCHFLOW_HTTPS", PRODUCTION)
SESSION_COOKIE_NAME = "patchflow_session"
CSRF_COOKIE_NAME = "patchflow_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 10 * 3600
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
CSRF_FAILURE_VIEW = "patchflow.web.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS: list[str] = read("list", "PATCHFLOW_TRUSTED_ORIGINS", [])
if read("bool", "PATCHFLOW_BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 << 20

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    }
}
SILENCED_SYSTEM_CHECKS: list[str] = (
    [] if PRODUCTION else ["security.W004", "security.W008", "security.W012", "security.W016", "security.W018"]
)
