"""Django's settings that this app stands on, for the settings of whichever project it is part of."""

MIN_PASSWORD_LENGTH = 8
"""In characters."""

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.admin.backends.CredentialsBackend"]
# The first hashes new passwords; a hash by another, or by another setting, is upgraded at the next sign-in.
PASSWORD_HASHERS = [
    "accounts.passwords.hashers.OwaspArgon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
# NIST SP 800-63B section 3.1.1: a length, no composition rules, nothing common or breached, nothing that names the
# user or this service.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.passwords.validators.MaximumLengthValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": MIN_PASSWORD_LENGTH},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.passwords.validators.ContextWordsValidator"},
    {"NAME": "accounts.passwords.validators.BreachedPasswordValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "email", "fullname"), "max_similarity": 0.9},
    },
]

# Where the admin's sign-ins are kept.
SESSION_ENGINE = "accounts.admin.session_store"
SESSION_COOKIE_AGE = 12 * 3600  # seconds; a working day, for what can do everything
