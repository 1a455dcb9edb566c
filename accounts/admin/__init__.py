"""The Django admin, where operators manage users, sessions, applications and services.

`site` is the admin site, and `dashboard` counts sessions and events for its first page. `backends` checks
passwords, and `session_store` stores the browser sessions. `activity`, `applications`, `invitations`, `services`,
`sessions` and `users` register one model each; `accounts.apps` imports them if the admin is installed. They build
on `lists`, `display` and `user_filter`. A module named after a model first, such as `session_columns`, is part of
its pages.

This package contains no rules of its own: every change to an account or a session goes through `accounts.users`,
`accounts.sessions` or `accounts.sso`.
"""
