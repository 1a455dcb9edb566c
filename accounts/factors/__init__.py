"""Second factors: authenticator apps, recovery codes and passkeys.

Entry points: `enrollment` adds, lists, renames and removes factors, and `verification.verify` checks what a user
presents. Whether a sign-in needs a factor is decided in `accounts.sessions.lifecycle.start`. How passwords are
verified, and failed attempts are counted, belongs in `accounts.users`.
"""
