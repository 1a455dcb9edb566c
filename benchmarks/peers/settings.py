"""Settings of a small project for each peer (PEER), as its documentation recommends and no slower."""

import os
from datetime import timedelta

import dj_database_url
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

PEER = os.environ["PEER"]

SECRET_KEY = "benchmarks only, and long enough for HS256"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peers.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["benchmarks.peers.hashers.SameCostHasher"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
INSTALLED_APPS += {
    "simplejwt": ["rest_framework_simplejwt.token_blacklist"],
    "knox": ["knox"],
    "token": ["rest_framework.authtoken"],
    "allauth": [
        "django.contrib.sessions",
        "django.contrib.messages",
        "allauth",
        "allauth.account",
        "allauth.headless",
    ],
}.get(PEER, [])
# The others need none.
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
] if PEER == "allauth" else []  # fmt: skip

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
    "ALGORITHM": os.environ.get("ALGORITHM", "HS256"),
}
if SIMPLE_JWT["ALGORITHM"] == "ES256":
    # The same in every process.
    _key = ec.derive_private_key(2**200 + 1, ec.SECP256R1())
    SIMPLE_JWT["SIGNING_KEY"] = _key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    SIMPLE_JWT["VERIFYING_KEY"] = (
        _key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )
REST_KNOX = {"TOKEN_TTL": timedelta(hours=10), "TOKEN_LIMIT_PER_USER": None}

HEADLESS_ONLY = True
HEADLESS_CLIENTS = ("app",)
if os.environ.get("STRATEGY") != "session":
    HEADLESS_TOKEN_STRATEGY = "benchmarks.peers.allauth_tokens.WithRoles"
HEADLESS_JWT_ALGORITHM = "HS256"
HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN = 3600
HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED = True  # otherwise it sees no sign-out
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
