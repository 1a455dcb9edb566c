"""Django's settings, read from the environment. No other module reads the environment.

The service's own settings (AUTH_… and PUBLIC_URL) are declared in `accounts.conf.AuthSettings`, with defaults,
rules and descriptions. All other variables are described below the line that reads them. `make docs` generates
docs/settings.md from both.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pythonjsonlogger.core import RESERVED_ATTRS

from accounts import defaults as accounts
from accounts.values.origins import serialize_origin
from api import defaults as api
from authproject.connection_urls import read_cache_url, read_database_url, read_email_url
from authproject.environment import (
    find_unknown_settings,
    load_or_create_secret,
    read_address,
    read_auth_settings,
    read_endpoint,
    read_flag,
    read_hosts,
    read_language,
    read_number,
    read_origins,
    read_secret_key,
    read_secret_keys,
    refuse_debug_in_public,
)
from authproject.setting_files import FileAwareEnv, make_database_folder

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = BASE_DIR / "data"

# NAME_FILE is the path of a file to read NAME from, for secrets of containers and systemd.
env = FileAwareEnv(strip_whitespace=True)

DEBUG = read_flag(env, "DEBUG", default=False)
"""Whether error pages show stack traces. Never turn it on where other people can reach the service."""

SECRET_KEY = read_secret_key(env, "SECRET_KEY") or load_or_create_secret("SECRET_KEY", DATA_DIR / "secret_key")
"""The secret that keys for refresh tokens, emailed tokens, counters and known devices are derived from. If it is
not set, one is created on the first start and stored in `data/secret_key`. Machines that share a database must
share it."""

SECRET_KEY_FALLBACKS = read_secret_keys(env, "SECRET_KEY_FALLBACKS")
"""Former and coming SECRET_KEYs, comma-separated. What was issued under them is accepted. While SECRET_KEY is
replaced on several machines, each machine needs the key that the others issue with."""

ALLOWED_HOSTS = read_hosts(env, "ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
"""The host names and IP addresses that clients may use to reach the service, comma-separated."""

CORS_ALLOWED_ORIGINS = read_origins(env, "CORS_ALLOWED_ORIGINS")
"""The origins of web pages that may call the API, comma-separated, as in
`https://app.example.com,http://localhost:3000`."""

HOST = read_address(env, "HOST", "127.0.0.1")
"""The IP address to listen on; `0.0.0.0` for all. Or a Unix socket, which the group may use: `unix:/PATH`."""

PORT = read_number(env, "PORT", 8000, lowest=1, highest=65535)
"""The port to listen on, from 1 to 65535."""

WORKERS = read_number(env, "WORKERS", os.cpu_count() or 1, lowest=1, highest=512)
"""The number of worker processes, from 1 to 512. If it is not set, one per core."""

METRICS = read_endpoint(env, "AUTH_METRICS")
"""The IP address and port of the Prometheus endpoint, as in `127.0.0.1:9464`. If it is not set, there are no
metrics. The endpoint has no authentication: use an address that only your monitoring can reach."""

AUTH = read_auth_settings(
    env,
    keys_dir=DATA_DIR / "keys",
    issuer=env.str("PUBLIC_URL", "").rstrip("/") or f"http://localhost:{PORT}",
)

# A misspelled setting would leave the default in force, such as an open sign-up. See authproject.checks.
UNKNOWN_SETTINGS = find_unknown_settings(os.environ, {"AUTH_METRICS"})

DATABASE: dict[str, Any] = read_database_url(env, "DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}")
"""The database: `sqlite:///PATH`, or `postgres://USER:PASSWORD@HOST:PORT/NAME` for more than one machine. If it is
not set, SQLite in `data/`. Parameters of the URL say where PostgreSQL is and how to trust it, as in
`?sslmode=verify-full`, and how to authenticate without a password: `sslcert` and `sslkey`, or `passfile`, which is
read for each connection. Others are refused."""

GUESS_COUNTERS_URL = read_cache_url(env, "CACHE_URL") or "database:"
"""A Redis or Valkey server that counts failed attempts: `redis://HOST:PORT/0`, `rediss://` or `valkey://`. With
`rediss://`, the parameters `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` name certificates and a key. If it is
not set, they are counted in the database."""

EMAIL: dict[str, Any] = read_email_url(env, "EMAIL_URL", "console:")
"""The mail server: `submission://USER:PASSWORD@HOST:587` (with STARTTLS; also `smtp+tls://`),
`smtps://USER:PASSWORD@HOST:465` (TLS from the start) or `smtp://HOST:PORT`. By default, emails are printed to the
terminal."""

_PUBLIC = urlsplit(AUTH["public_url"])
_IS_TLS = _PUBLIC.scheme == "https"
refuse_debug_in_public(DEBUG, AUTH["public_url"])

_DATABASE_TIMEOUT = 5  # seconds

if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    make_database_folder("DATABASE_URL", Path(DATABASE["NAME"]))
    DATABASE["OPTIONS"] = {
        # WAL lets readers and a writer work at once. IMMEDIATE makes writers wait for each other instead of
        # failing.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": _DATABASE_TIMEOUT,
    }
else:
    DATABASE["ENGINE"] = "authproject.postgresql"
    DATABASE["CONN_HEALTH_CHECKS"] = True
    DATABASE["OPTIONS"] = {
        # Repeated statements are planned once.
        "server_side_binding": True,
        "prepare_threshold": 3,
        "connect_timeout": _DATABASE_TIMEOUT,
        "time_limit": _DATABASE_TIMEOUT,
        # Notice a dead connection within seconds instead of the kernel's two hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": _DATABASE_TIMEOUT * 1000,
        # A frozen server does not enforce the limits above. If you raise those, raise this one too.
        "answer_timeout": _DATABASE_TIMEOUT + 2,
        **DATABASE.get("OPTIONS", {}),
    }
# Opening a connection per request would reduce the throughput to a seventh.
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
HOSTED_PAGE_MIDDLEWARE = [
    "authproject.middleware.ContentPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.common.CommonMiddleware",
]
# These checks inspect MIDDLEWARE only, but the middleware that they require is in PAGE_MIDDLEWARE.
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
"""The language of the admin, of the validation messages in `errors`, of emails to users who have not chosen
another one, and of pages in browsers that prefer none that pages are in: a language code that Django supports."""

TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"}}

# Users and passwords

# Projects that embed `accounts` and `api` use the same values, so the two apps declare them.

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = accounts.AUTH_USER_MODEL
AUTHENTICATION_BACKENDS = accounts.AUTHENTICATION_BACKENDS
PASSWORD_HASHERS = accounts.PASSWORD_HASHERS
AUTH_PASSWORD_VALIDATORS = accounts.AUTH_PASSWORD_VALIDATORS

# The API

# The API's views set their classes explicitly in `api.views.base`. Any other view requires authentication.
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

# Security. Settings that depend on TLS are on if PUBLIC_URL is an https URL.

SECURE_SSL_REDIRECT = _IS_TLS
# API requests over plain HTTP are refused by `authproject.middleware`: with a redirect, the client would not
# notice.
SECURE_REDIRECT_EXEMPT = [r"^healthz/?$", r"^readyz/?$", r"^api/(?!docs)", r"^\.well-known/"]
SECURE_HSTS_SECONDS = 365 * 86400 if _IS_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _IS_TLS
SECURE_HSTS_PRELOAD = _IS_TLS
SESSION_ENGINE = accounts.SESSION_ENGINE
SESSION_COOKIE_AGE = accounts.SESSION_COOKIE_AGE
SESSION_COOKIE_SECURE = _IS_TLS
# No other host can set a cookie with this prefix (RFC 6265bis section 4.1.3.2); browsers require TLS for it.
SESSION_COOKIE_NAME = "__Host-sessionid" if _IS_TLS else "sessionid"
CSRF_COOKIE_SECURE = _IS_TLS
# Pages of sibling subdomains read this cookie to repeat its value in a header.
CSRF_COOKIE_DOMAIN = AUTH["cookie_domain"] or None
CSRF_TRUSTED_ORIGINS = [serialize_origin(AUTH["public_url"])] if _IS_TLS else []
X_FRAME_OPTIONS = "DENY"
# The admin's messages contain usernames, so they are stored in the session and not in a cookie.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Large enough for the admin's forms; `api.http.parsers` sets a lower limit for the API.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# The server refuses bodies beyond the API's limit everywhere else, and without a session, before it reads them.
PATHS_WITH_LARGE_BODIES = ("/admin/",)

DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", f"noreply@{_PUBLIC.hostname or 'localhost'}")
"""The sender of emails. If it is not set, `noreply` at the host of PUBLIC_URL."""

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
            "timestamp": "time",  # with the offset from UTC
            # Django adds the request, whose query string may contain a token that a client put there by mistake.
            "reserved_attrs": [*RESERVED_ATTRS, "request"],
            "rename_fields": {"levelname": "level", "name": "logger"},
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # A 4xx response is not an incident. Those that matter are security events.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # It logs the credential id at each use of a passkey; the security events say who signed in.
        "fido2": {"level": "WARNING"},
    },
}
