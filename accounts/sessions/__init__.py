"""The life of a session: start, validate, refresh, step up and revoke. One session is one `RefreshToken` row.

Entry points: `lifecycle.start` opens a session and issues its tokens, `lifecycle.check` validates the session of
an access token, and `rotation.rotate` refreshes. How tokens are encoded and signed belongs in `accounts.tokens`.

Wherever a function takes `by`, it is the id of the administrator who acts, or None if the user or the service
does.
"""
