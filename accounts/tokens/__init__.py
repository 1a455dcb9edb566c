"""Access tokens and refresh tokens: encode, sign, encrypt, parse and verify them.

Entry points: `access_tokens.issue` and `access_tokens.verify` (JWT), `refresh_tokens.encode` and
`refresh_tokens.parse` (opaque strings). Nothing here queries the database: whether the session of a token is still
valid is decided in `accounts.sessions`.
"""
