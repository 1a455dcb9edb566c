"""Values of Django settings that this app requires, to import into the settings of a project."""

MIN_PASSWORD_LENGTH = 8
"""The default of AUTH_PASSWORD_MIN_LENGTH, in characters."""

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.admin.backends.CredentialsBackend"]
# The first entry hashes new passwords. Hashes of another hasher, or with other parameters, are upgraded at the
# next sign-in.
PASSWORD_HASHERS = [
    "accounts.passwords.hashers.OwaspArgon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "accounts.passwords.hashers.ImportedScryptHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "accounts.passwords.hashers.ImportedBcryptHasher",
]
# NIST SP 800-63B section 3.1.1: length limits, no composition rules, no common or breached passwords, and no
# password that contains the name of the user or of this service.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "accounts.passwords.validators.MaximumLengthValidator"},
    {"NAME": "accounts.passwords.validators.MinimumLengthValidator"},
    {"NAME": "accounts.passwords.validators.CommonPasswordValidator"},
    {"NAME": "accounts.passwords.validators.ContextWordsValidator"},
    {"NAME": "accounts.passwords.validators.BreachedPasswordValidator"},
    {
        "NAME": "accounts.passwords.validators.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "email", "fullname"), "max_similarity": 0.9},
    },
]

# Stores the sessions of the Django admin.
SESSION_ENGINE = "accounts.admin.session_store"
SESSION_COOKIE_AGE = 12 * 3600  # seconds; one working day, because the admin has full access
