"""User accounts, from sign-up through changes of profile, password and roles to deletion.

Entry points: `registration.register` (sign up) and `credentials.authenticate` (verify a password). Sessions and
tokens are issued by `accounts.sessions`. Nothing in this package depends on HTTP.
"""
