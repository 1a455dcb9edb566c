"""System checks: report project settings that break this app."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.admin import site
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name
from django.db import connections
from django.utils.module_loading import import_string

from accounts.admin.site import AuthAdminSite
from accounts.conf import auth_settings
from accounts.databases import alias_of
from accounts.models import Application
from accounts.tokens.signing import SYMMETRIC_ALGORITHM

_OTHER_USERS = (
    "Run this service beside your project and verify its tokens there (docs/services.md), or move your users "
    "to it (docs/moving.md). In a new project, set AUTH_USER_MODEL as in accounts.defaults, and a new database."
)
_BACKEND = "accounts.admin.backends.CredentialsBackend"


@register
def check_project(**_: Any) -> list[CheckMessage]:
    """Check the settings in `accounts.defaults`, and those that the app relies on."""
    return [
        *_check_user_model(),
        *_check_time_zone(),
        *_check_transactions(),
        *_check_databases(),
        *_check_admin(),
        *_check_claims(),
    ]


def _check_user_model() -> Iterator[CheckMessage]:
    if settings.AUTH_USER_MODEL != "accounts.User":
        yield Error(
            f"AUTH_USER_MODEL is {settings.AUTH_USER_MODEL!r}, but this app signs in users of its own model only.",
            hint=_OTHER_USERS,
            id="accounts.E006",
        )


@register(Tags.database)
def check_existing_users(databases: Iterable[str] | None, **_: Any) -> list[CheckMessage]:
    """Check, before `migrate`, that the database is not one of a project with Django's own users."""
    alias = alias_of(get_user_model())
    if alias not in (databases or ()):
        return []
    tables = connections[alias].introspection.table_names()
    if "auth_user" not in tables or "accounts_user" in tables:
        return []
    return [Error("The database has a table of users already: auth_user.", hint=_OTHER_USERS, id="accounts.E007")]


@register(Tags.database)
def check_single_sign_on(databases: Iterable[str] | None, **_: Any) -> list[CheckMessage]:
    """Check, before `migrate`, that applications can verify ID tokens, if there are any."""
    alias = alias_of(Application)
    if alias not in (databases or ()) or auth_settings().algorithm != SYMMETRIC_ALGORITHM:
        return []
    if Application._meta.db_table not in connections[alias].introspection.table_names():
        return []
    if not Application.objects.filter(is_active=True).exists():
        return []
    return [
        Warning(
            f"Single sign-on is off, because AUTH_ALGORITHM is {SYMMETRIC_ALGORITHM}: applications "
            "that verify tokens with its key could sign them, too.",
            hint="Set AUTH_ALGORITHM=ES256, or deactivate the applications.",
            id="accounts.W003",
        )
    ]


@register(deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    """Check what only a service that other people can reach needs."""
    is_console = settings.EMAIL_BACKEND == "django.core.mail.backends.console.EmailBackend"
    if is_console and auth_settings().public_url.startswith("https:"):
        return [
            Warning(
                "Emails are printed to the terminal, but PUBLIC_URL is an https URL.",
                hint="Set EMAIL_URL to your mail server. Otherwise no one receives a link to reset a password.",
                id="accounts.W002",
            )
        ]
    return []


def _check_time_zone() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        hint = "Set USE_TZ = True: this app stores times with a time zone."
        yield Error("USE_TZ is off.", hint=hint, id="accounts.E001")


def _check_transactions() -> Iterator[CheckMessage]:
    names = [name for name, database in settings.DATABASES.items() if database.get("ATOMIC_REQUESTS")]
    if names:
        yield Error(
            f"ATOMIC_REQUESTS is on for {', '.join(names)}.",
            hint="Set it to False: a rejected request would roll back what it records, such as a failed sign-in.",
            id="accounts.E002",
        )


def _check_databases() -> Iterator[CheckMessage]:
    models: list[Any] = [*apps.get_app_config("accounts").get_models(), Group, Permission, ContentType]
    if apps.is_installed("django.contrib.admin"):
        models.append(apps.get_model("admin", "LogEntry"))
    aliases = {alias_of(model) for model in models}
    if len(aliases) > 1:
        yield Error(
            f"DATABASE_ROUTERS write related tables to several databases: {', '.join(sorted(aliases))}.",
            hint="Route the apps accounts, auth, contenttypes and admin to one database.",
            id="accounts.E005",
        )


def _check_admin() -> Iterator[CheckMessage]:
    if not apps.is_installed("django.contrib.admin"):
        return
    if _BACKEND not in settings.AUTHENTICATION_BACKENDS:
        yield Warning(
            "The admin does not limit failed sign-ins.",
            hint=f'Set AUTHENTICATION_BACKENDS = ["{_BACKEND}"], as in accounts.defaults.',
            id="accounts.W001",
        )
    elif not isinstance(site, AuthAdminSite):
        yield Error(
            "The admin's sign-in form cannot show that the limit on failed sign-ins is reached.",
            hint='In INSTALLED_APPS, replace "django.contrib.admin" with "authproject.apps.AuthAdminConfig".',
            id="accounts.E003",
        )


def _check_claims() -> Iterator[CheckMessage]:
    path = auth_settings().claims
    try:
        is_function = not path or callable(import_string(path))
    except Exception as error:  # noqa: BLE001  a module of the project can raise anything
        yield Error(
            f"AUTH_CLAIMS: {path} cannot be imported ({type(error).__name__}: {error}).",
            hint="Name a function that takes a user and a session, and returns a dict.",
            id="accounts.E004",
        )
        return
    if not is_function:
        hint = "Name a function that takes a user and a session, and returns a dict."
        yield Error(f"AUTH_CLAIMS: {path} is not a function.", hint=hint, id="accounts.E004")
