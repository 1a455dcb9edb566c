"""How passwords are hashed, and which new passwords are accepted.

Django loads these classes by name, from `PASSWORD_HASHERS` and `AUTH_PASSWORD_VALIDATORS` (`accounts.defaults`).
Verifying a password at sign-in belongs to `accounts.users.credentials`.
"""
