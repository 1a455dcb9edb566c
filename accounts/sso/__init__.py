"""Single sign-on: an OpenID Provider for the company's own applications (OpenID Connect Core, code flow only).

Entry points: `browser_sign_ins.start` and `find` for the hosted pages, `authorization.parse` and `issue_code` for
the authorization endpoint, `codes.exchange` and `service_tokens.issue` for the token endpoint, and
`signing_out.sign_out`. How a session is validated, refreshed and ended belongs in `accounts.sessions`.
"""
