"""Access tokens and refresh tokens as bytes and claims.

Entry points: `access_tokens.issue` and `access_tokens.verify` (JWT), `refresh_tokens.parse` and
`refresh_tokens.encode` (opaque strings). Nothing here queries the database: whether a session is still valid is
decided in `accounts.sessions`.
"""
