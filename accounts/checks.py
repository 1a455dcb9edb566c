"""What `manage.py check` has to say where a project's settings do not fit this app."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.admin import site
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's name

from accounts.admin.site import AuthAdminSite

_BACKEND = "accounts.admin.backends.CredentialsBackend"


@register
def check_project(**_: Any) -> list[CheckMessage]:
    """Look at the settings that `accounts.defaults` has, and at those that everything here takes for granted."""
    return [*_check_time_zone(), *_check_transactions(), *_check_admin()]


def _check_time_zone() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield Error("USE_TZ is off.", hint="Moments here have a time zone: USE_TZ = True.", id="accounts.E001")


def _check_transactions() -> Iterator[CheckMessage]:
    names = [name for name, database in settings.DATABASES.items() if database.get("ATOMIC_REQUESTS")]
    if names:
        yield Error(
            f"ATOMIC_REQUESTS is on for {', '.join(names)}.",
            hint="A refusal that leaves a mark, such as a counted guess, would be undone with its request.",
            id="accounts.E002",
        )


def _check_admin() -> Iterator[CheckMessage]:
    if not apps.is_installed("django.contrib.admin"):
        return
    if _BACKEND not in settings.AUTHENTICATION_BACKENDS:
        yield Warning(
            "The admin lets people guess passwords without limit.",
            hint=f'AUTHENTICATION_BACKENDS = ["{_BACKEND}"], as in accounts.defaults.',
            id="accounts.W001",
        )
    elif not isinstance(site, AuthAdminSite):
        yield Error(
            "The admin's form for signing in cannot tell of too many guesses.",
            hint='In INSTALLED_APPS, "authproject.apps.AuthAdminConfig" stands for "django.contrib.admin".',
            id="accounts.E003",
        )
