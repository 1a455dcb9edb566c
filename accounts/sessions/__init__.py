"""A session from sign-in to revocation. One session is one `RefreshToken` row on one device.

Entry points: `lifecycle.start` (open a session and issue its tokens), `lifecycle.check` (validate an access
token's session) and `rotation.rotate` (refresh). How tokens are encoded and signed belongs to `accounts.tokens`.
"""
