"""A user account from sign-up to deletion: who may exist, sign in, change and leave.

Entry points: `registration.register` (sign up) and `credentials.authenticate` (verify a password). Sessions and
tokens are issued in `accounts.sessions`; nothing here knows HTTP.
"""
