"""Settings of a small project for each peer (PEER), as its documentation recommends and no slower."""

import os
from datetime import timedelta

import dj_database_url

PEER = os.environ["PEER"]

SECRET_KEY = "benchmarks only, and long enough for HS256"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peers.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["accounts.passwords.hashers.OwaspArgon2idHasher"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# Read by the server, which is the same for all.
AUTH = {"trusted_proxies": ()}
PATHS_THAT_HASH = ("/signin",)

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
INSTALLED_APPS += {
    "simplejwt": ["rest_framework_simplejwt.token_blacklist"],
    "knox": ["knox"],
    "token": ["rest_framework.authtoken"],
}.get(PEER, [])
MIDDLEWARE: list[str] = []  # none of the peers needs any

DATABASES = {"default": {**dj_database_url.parse(os.environ["DATABASE_URL"]), "CONN_MAX_AGE": None}}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
    }

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
}
SIMPLE_JWT = {
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "ACCESS_TOKEN_LIFETIME": timedelta(hours=1),
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=10), "TOKEN_LIMIT_PER_USER": None}
