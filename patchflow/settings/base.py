"""What Patchflow is made of, and where it keeps things."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from patchflow.settings.enum_names import ENUM_NAMES
from patchflow.settings.env import PROBLEMS, read

SETTINGS_PROBLEMS = PROBLEMS
BASE_DIR = Path(__file__).resolve().parents[2]
MODE: str = read("str", "PATCHFLOW_MODE", "development")
PRODUCTION = MODE == "production"
DEBUG: bool = read("bool", "PATCHFLOW_DEBUG", False) and not PRODUCTION
VAR = Path(read("str", "PATCHFLOW_VAR", str(BASE_DIR / "var")))
"""Where the embedded database, journals, published audit heads and the content store live: a local disk (WAL)."""

DEVELOPMENT_SECRET = "patchflow-development-only-" + "0" * 32
SECRET_KEY = read("str", "PATCHFLOW_SECRET_KEY", DEVELOPMENT_SECRET)
"""Key that encrypts stored private keys of connections; empty: keys are kept by reference only."""

ALLOWED_HOSTS: list[str] = read(
    "list", "PATCHFLOW_ALLOWED_HOSTS", [] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]", "testserver"]
)
BASE_URL: str = read("str", "PATCHFLOW_BASE_URL", "http://127.0.0.1:8000")

INSTALLED_APPS = [
    "patchflow.kernel",
    "patchflow.notices",
    "patchflow.web",
    "patchflow.api",
    "cmdb",
    "changes",
    "releases",
    "patchflow.reports",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "django_prometheus",
    "django_structlog",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "patchflow.web.middleware.PersonalMiddleware",
    "patchflow.web.middleware.FirstLogInMiddleware",
    "patchflow.web.middleware.RefusalMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "patchflow.urls"
WSGI_APPLICATION = "patchflow.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "patchflow.web.context.shell",
            ],
        },
    }
]

# --- database -------------------------------------------------------------------------------------------------------
DATABASES = {"default": read("db_url", "PATCHFLOW_DATABASE_URL", f"sqlite:///{VAR}/patchflow.db")}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = 60
if _database["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a read transaction that later wants to write cannot wait, it fails; WAL: readers never block.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA temp_store=MEMORY;PRAGMA cache_size=-20000;",
    }
else:
    _database["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- broker, results, cache (empty: `up` starts the embedded one and exports these) -----------------------------------
CELERY_BROKER_URL: str = read("str", "PATCHFLOW_BROKER_URL", "") or "memory://"
CELERY_RESULT_BACKEND: str | None = read("str", "PATCHFLOW_RESULT_URL", "") or None
CACHES = {"default": read("cache_url", "PATCHFLOW_CACHE_URL", "locmemcache://")}
if CACHES["default"]["BACKEND"].endswith(".RedisCache"):
    CACHES["default"]["BACKEND"] = "patchflow.kernel.cache.PatientCache"

CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 3600
CELERY_TASK_SOFT_TIME_LIMIT = 3300
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "visibility_timeout": 7200,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "health_check_interval": 25,
        "socket_keepalive": True,
        "socket_connect_timeout": 5,
        "socket_timeout": 10,  # a worker's; who rings in a request has less patience (`kernel.bell`)
    }
    if CELERY_BROKER_URL.startswith(("redis", "rediss", "sentinel"))
    else {}
)
CELERY_TASK_IGNORE_RESULT = True  # the truth lives in rows
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    # What takes a moment and what all else waits for stands in no line behind what takes long (ADR 0051).
    "patchflow.kernel.tasks.*": {"queue": "tick"},
    "releases.tasks.advance_rollout": {"queue": "tick"},
    "releases.tasks.*": {"queue": "exec"},
    "cmdb.tasks.*": {"queue": "scan"},
    "patchflow.notices.tasks.*": {"queue": "notify"},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_DB_REUSE_MAX = 1000

# --- language, time, static -------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "patchflow" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
MEDIA_ROOT = VAR / "media"

# --- people -----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "kernel.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_ADAPTER = "patchflow.web.accounts.Adapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/300s/key"}
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
REAUTHENTICATE_MINUTES: int = read("int", "PATCHFLOW_REAUTHENTICATE_MINUTES", 0)
"""A decision asks for the password unless it was given so many minutes ago; 0: the log-in is enough."""
ACCOUNT_REAUTHENTICATION_TIMEOUT = REAUTHENTICATE_MINUTES * 60
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- REST -------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "patchflow.api.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "patchflow.api.schema.VerbSchema",
    "DEFAULT_PAGINATION_CLASS": "patchflow.api.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "patchflow.api.problems.handle",
    "DEFAULT_THROTTLE_RATES": {"login": "30/min"},
    "PAGE_SIZE": 50,
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=10), "AUTO_REFRESH": False, "TOKEN_LIMIT_PER_USER": 20}
SPECTACULAR_SETTINGS = {
    "TITLE": "Patchflow",
    "DESCRIPTION": "Change management of software updates: the same verbs, and the same refusals, as in the web UI.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "docExpansion": "none",
        "validatorUrl": None,  # a host of its makers would be asked
    },
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": ENUM_NAMES,
}

# --- mail -------------------------------------------------------------------------------------------------------------
EMAIL_CONFIG = read("email_url", "PATCHFLOW_EMAIL_URL", "consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL: str = read("str", "PATCHFLOW_MAIL_FROM", "patchflow@localhost")

LEASE_SECONDS: int = read("int", "PATCHFLOW_LEASE_SECONDS", 120)

# --- Patchflow's own policy defaults (domain.md, "Defaults") -------------------------------------------------------------
PATCHFLOW = {
    "FACTS_STALE_AFTER": timedelta(hours=read("int", "PATCHFLOW_FACTS_STALE_HOURS", 48)),
    "AUDIT_GATE": timedelta(days=read("int", "PATCHFLOW_AUDIT_GATE_DAYS", 7)),
    "BASELINE_GRACE": timedelta(days=read("int", "PATCHFLOW_BASELINE_GRACE_DAYS", 14)),
    "SWEEP_SECONDS": read("int", "PATCHFLOW_SWEEP_SECONDS", 5),
    "LEASE": timedelta(seconds=LEASE_SECONDS),
    "RENEW": timedelta(seconds=min(30, LEASE_SECONDS / 4)),  # well within the lease, however short that is set
    "SILENCE": timedelta(seconds=read("int", "PATCHFLOW_SILENCE_SECONDS", 300)),
    "LOOK_AFTER_UNKNOWN": timedelta(hours=24),
    "SOAK": timedelta(seconds=read("int", "PATCHFLOW_SOAK_SECONDS", 24 * 3600)),
    "SOAK_FIRST_RING": timedelta(seconds=read("int", "PATCHFLOW_SOAK_FIRST_SECONDS", 3600)),
    "FAILURE_LIMIT_PERCENT": 5,
    "SUCCESS_PERCENT": 95,
    "ROUND_DEADLINE_WORKING_DAYS": 3,
    "ECAB_DEADLINE": timedelta(hours=4),
    "REAUTHENTICATE_WITHIN": timedelta(minutes=REAUTHENTICATE_MINUTES) if REAUTHENTICATE_MINUTES else None,
    "FEED_LOSS_PERCENT": 20,
    "OPERATIONS_REVIEW_DAYS": read("int", "PATCHFLOW_OPERATIONS_REVIEW_DAYS", 30),
    "SLA_REVIEW_DAYS": read("int", "PATCHFLOW_SLA_REVIEW_DAYS", 90),
    "AUDIT_HEADS_FILE": VAR / "audit-heads.log",
    "AUDIT_HEADS_SYSLOG": read("bool", "PATCHFLOW_AUDIT_SYSLOG", False),
    "ATTACHMENTS": VAR / "attachments",
    "ATTACHMENT_BYTES": read("int", "PATCHFLOW_ATTACHMENT_MB", 10) * 2**20,
    "CSV_LINES": read("int", "PATCHFLOW_CSV_LINES", 100_000),
    "OUTBOUND_ALLOW": read("list", "PATCHFLOW_OUTBOUND_ALLOW", []),
    "EXECUTOR": read("str", "PATCHFLOW_EXECUTOR", "ssh"),
    "SIMULATOR": read("str", "PATCHFLOW_SIMULATOR", ""),
    "TRIAL": read("bool", "PATCHFLOW_TRIAL", False),
}
METRICS_TOKEN = read("str", "PATCHFLOW_METRICS_TOKEN", "")

CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "patchflow.kernel.tasks.sweep",
        "schedule": PATCHFLOW["SWEEP_SECONDS"],
        "options": {"expires": 30},
    },
    "seal": {"task": "patchflow.kernel.tasks.seal", "schedule": 10, "options": {"expires": 30}},
    "publish-heads": {"task": "patchflow.kernel.tasks.publish_heads", "schedule": 60, "options": {"expires": 60}},
    "expire-rounds": {"task": "patchflow.kernel.tasks.expire_rounds", "schedule": 30, "options": {"expires": 30}},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "celerybeat-schedule")
