"""How passwords are hashed, and which new passwords are accepted.

Django uses these classes by name, from `PASSWORD_HASHERS` and `AUTH_PASSWORD_VALIDATORS` (`accounts.defaults`).
How a password is checked at sign-in belongs to `accounts.users.credentials`.
"""
