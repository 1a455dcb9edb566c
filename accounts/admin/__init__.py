"""The Django admin: what operators see and do in the browser.

`site` is the admin site, `backends` its password check, `session_store` its browser sessions; the other modules
register one model each. `accounts.apps` imports those when the admin is installed. Every change of an account or a
session goes through `accounts.users` or `accounts.sessions`: no rule is decided here.
"""
