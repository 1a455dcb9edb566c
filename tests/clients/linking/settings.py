"""Settings of a project whose users are linked to access tokens. USER_MODEL names its user model."""

import os

import dj_database_url

SECRET_KEY = "not used"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "people", "authclient.django"]
AUTH_USER_MODEL = os.environ["USER_MODEL"]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 30}
USE_TZ = True
AUTH_SERVICE = {"issuer": "https://auth.example.com", "audience": "shop"}
