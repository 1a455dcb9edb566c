"""Settings of a project whose users are linked to access tokens. USER_MODEL names its user model."""

import os

SECRET_KEY = "not used"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "people", "authclient.django"]
AUTH_USER_MODEL = os.environ["USER_MODEL"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE"],
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
    }
}
USE_TZ = True
AUTH_SERVICE = {"issuer": "https://auth.example.com", "audience": "shop"}
