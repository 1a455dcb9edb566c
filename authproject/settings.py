"""Django's settings. The environment is read here, once; nothing else reads it.

The settings of the service itself (AUTH_… and PUBLIC_URL) are declared, with their defaults, rules and
explanations, in `accounts.conf.AuthSettings`. What else the environment says is explained below what reads it.
Out of both `make docs` writes docs/settings.md.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environs
from pythonjsonlogger.core import RESERVED_ATTRS

from accounts import defaults as accounts
from api import defaults as api
from authproject.environment import (
    load_or_create_secret,
    read_address,
    read_auth_settings,
    read_cache_url,
    read_endpoint,
    read_flag,
    read_hosts,
    read_language,
    read_list,
    read_number,
    read_secret,
    read_url,
)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = BASE_DIR / "data"

# NAME_FILE names a file that the value of NAME is read from, as secrets are handed over by containers and systemd.
env = environs.FileAwareEnv(strip_whitespace=True)

DEBUG = read_flag(env, "DEBUG", default=False)
"""Whether stack traces are shown to whoever asks. Never where strangers can reach it."""

SECRET_KEY = read_secret(env, "SECRET_KEY") or load_or_create_secret("SECRET_KEY", DATA_DIR / "secret_key")
"""Derives the keys of refresh tokens, mailed tokens, counters and known devices. Unset, one is made on first start
and kept in `data/secret_key`. Machines that share a database share it."""

SECRET_KEY_FALLBACKS = read_list(env, "SECRET_KEY_FALLBACKS")
"""Former SECRET_KEYs, comma-separated: refresh tokens issued under them stay good."""

ALLOWED_HOSTS = read_hosts(env, "ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
"""The names and addresses that this service answers to, comma-separated."""

CORS_ALLOWED_ORIGINS = read_list(env, "CORS_ALLOWED_ORIGINS")
"""The web origins whose pages may call the API, comma-separated, as in
`https://app.example.com,http://localhost:3000`."""

HOST = read_address(env, "HOST", "127.0.0.1")
"""The IP address on which the server listens; `0.0.0.0` for all of them."""

PORT = read_number(env, "PORT", 8000, lowest=1, highest=65535)
"""The port on which the server listens, from 1 to 65535."""

WORKERS = read_number(env, "WORKERS", os.cpu_count() or 1, lowest=1, highest=512)
"""With how many processes the server answers, from 1 to 512. Unset, one per core."""

METRICS = read_endpoint(env, "AUTH_METRICS")
"""Where Prometheus finds what this server counts, as in `127.0.0.1:9464`. Unset, nothing is counted. Whoever
reaches it reads it: it is for this machine, or for a network that strangers are not in."""

AUTH = read_auth_settings(
    env,
    keys_dir=DATA_DIR / "keys",
    issuer=env.str("PUBLIC_URL", "").rstrip("/") or f"http://localhost:{PORT}",
)

DATABASE: dict[str, Any] = read_url(
    lambda: env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}"),
    "DATABASE_URL",
    key="ENGINE",
    values=("django.db.backends.sqlite3", "django.db.backends.postgresql"),
    allowed="sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME",
)
"""The database: `sqlite:///PATH`, or PostgreSQL for more than one machine, `postgres://USER:PASSWORD@HOST:PORT/NAME`.
Unset, SQLite in `data/`."""

GUESS_COUNTERS_URL = read_cache_url(env, "CACHE_URL") or "database:"
"""Redis or Valkey, to count failed guesses in: `redis://HOST:PORT/0`, `rediss://` or `valkey://`. Unset, the
database counts them."""

EMAIL: dict[str, Any] = read_url(
    lambda: env.dj_email_url("EMAIL_URL", "console:"),
    "EMAIL_URL",
    key="EMAIL_BACKEND",
    values=("django.core.mail.backends.console.EmailBackend", "django.core.mail.backends.smtp.EmailBackend"),
    allowed="console:, smtp://HOST:PORT or submission://USER:PASSWORD@HOST:PORT",
)
"""How mail is sent: `submission://USER:PASSWORD@HOST:587` (with STARTTLS) or `smtp://HOST:PORT`. By default it is
printed."""

_PUBLIC = urlsplit(AUTH["public_url"])
_IS_TLS = _PUBLIC.scheme == "https"

_DATABASE_TIMEOUT = 5  # seconds

if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    Path(DATABASE["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    DATABASE["OPTIONS"] = {
        # Readers and a writer side by side; writers wait for each other instead of failing midway.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": _DATABASE_TIMEOUT,
    }
else:
    DATABASE["ENGINE"] = "authproject.postgresql"
    DATABASE["CONN_HEALTH_CHECKS"] = True
    DATABASE["OPTIONS"] = {
        # What is asked again is planned once. PgBouncer passes that on from 1.21, with max_prepared_statements.
        "server_side_binding": True,
        "prepare_threshold": 3,
        "connect_timeout": _DATABASE_TIMEOUT,
        "options": f"-c statement_timeout={_DATABASE_TIMEOUT}s -c lock_timeout={_DATABASE_TIMEOUT}s",
        # A connection whose other end is gone is noticed in seconds, not in the kernel's two hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": _DATABASE_TIMEOUT * 1000,
        # A frozen one keeps no time limit of its own. Whoever raises those above raises this one with them.
        "answer_timeout": _DATABASE_TIMEOUT + 2,
        **DATABASE.get("OPTIONS", {}),
    }
# A connection per request would cost six sevenths of the throughput.
DATABASE["CONN_MAX_AGE"] = None
DATABASES = {"default": DATABASE}

INSTALLED_APPS = [
    "accounts",
    "api",
    "authproject.apps.AuthAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "authproject.middleware.ApiHeadersMiddleware",
    "authproject.middleware.CrossOriginMiddleware",
    "authproject.middleware.PageMiddleware",
]
if METRICS:
    MIDDLEWARE.insert(0, "authproject.middleware.metrics_middleware")
PAGE_MIDDLEWARE = [
    "authproject.middleware.ContentPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
# Django looks for these in MIDDLEWARE alone. They stand in PAGE_MIDDLEWARE.
SILENCED_SYSTEM_CHECKS = [
    "admin.E408", "admin.E409", "admin.E410", "security.W001", "security.W002", "security.W003"
]  # fmt: skip

ROOT_URLCONF = "authproject.urls"
PATHS_THAT_HASH = api.PATHS_THAT_HASH
WSGI_APPLICATION = "authproject.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LANGUAGE_CODE = read_language(env, "LANGUAGE_CODE", "en")
"""The language of mails, of the admin, and of what the API says in `errors`: a code that Django knows."""

TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"}}

# Users and passwords

# What holds in whichever project `accounts` and `api` are part of is declared by them.

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = accounts.AUTH_USER_MODEL
AUTHENTICATION_BACKENDS = accounts.AUTHENTICATION_BACKENDS
PASSWORD_HASHERS = accounts.PASSWORD_HASHERS
AUTH_PASSWORD_VALIDATORS = accounts.AUTH_PASSWORD_VALIDATORS

# The API

# What the views do is written out in `api.views.base`. A view that stands on anything else lets nobody in.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = api.SPECTACULAR_SETTINGS

CORS_URLS_REGEX = api.CORS_URLS_REGEX
CORS_ALLOW_HEADERS = api.CORS_ALLOW_HEADERS
CORS_EXPOSE_HEADERS = api.CORS_EXPOSE_HEADERS
CORS_ALLOW_CREDENTIALS = api.CORS_ALLOW_CREDENTIALS

# Security. What depends on TLS is on when PUBLIC_URL says that people come by https.

SECURE_SSL_REDIRECT = _IS_TLS
# Programs are not led to https but refused, in `authproject.middleware`: who is led there never learns of it.
SECURE_REDIRECT_EXEMPT = [r"^healthz/?$", r"^readyz/?$", r"^api/(?!docs)", r"^\.well-known/"]
SECURE_HSTS_SECONDS = 365 * 86400 if _IS_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _IS_TLS
SECURE_HSTS_PRELOAD = _IS_TLS
SESSION_ENGINE = accounts.SESSION_ENGINE
SESSION_COOKIE_AGE = accounts.SESSION_COOKIE_AGE
SESSION_COOKIE_SECURE = _IS_TLS
# No other host can set a cookie of this name here (RFC 6265bis section 4.1.3.2); browsers keep it over TLS alone.
SESSION_COOKIE_NAME = "__Host-sessionid" if _IS_TLS else "sessionid"
CSRF_COOKIE_SECURE = _IS_TLS
# A page of a sister site reads this cookie to repeat its value.
CSRF_COOKIE_DOMAIN = AUTH["cookie_domain"] or None
CSRF_TRUSTED_ORIGINS = [f"https://{_PUBLIC.netloc}"] if _IS_TLS else []
X_FRAME_OPTIONS = "DENY"
# What the admin says of the last deed, names included, is in no cookie.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# A form of the Django admin fits; what the API reads is bounded further in `api.parsers`.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", f"noreply@{_PUBLIC.hostname or 'localhost'}")
"""Whom mails come from. Unset, noreply at the host of PUBLIC_URL."""

EMAIL_BACKEND = EMAIL["EMAIL_BACKEND"]
EMAIL_HOST = EMAIL["EMAIL_HOST"]
EMAIL_PORT = EMAIL["EMAIL_PORT"]
EMAIL_HOST_USER = EMAIL["EMAIL_HOST_USER"]
EMAIL_HOST_PASSWORD = EMAIL["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = EMAIL["EMAIL_USE_TLS"]
EMAIL_USE_SSL = EMAIL["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = EMAIL["EMAIL_TIMEOUT"] or 10  # seconds

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "{levelname}{name}{message}",
            "style": "{",
            "timestamp": "time",  # with its offset from UTC
            # Django hands over the request, whose query may hold a token that a client put there by mistake.
            "reserved_attrs": [*RESERVED_ATTRS, "request"],
            "rename_fields": {"levelname": "level", "name": "logger"},
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # A refusal is not an incident: what matters of it is an event of its own.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
