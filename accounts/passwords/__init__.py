"""How passwords are hashed, which new passwords are accepted, and how every failed check costs the same.

Django loads these classes by name, from `PASSWORD_HASHERS` and `AUTH_PASSWORD_VALIDATORS` (`accounts.defaults`).
Verifying a password at sign-in belongs to `accounts.users.credentials`.
"""
