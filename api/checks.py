"""System checks of a project's settings that this API relies on."""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  Django's name
from django.urls import NoReverseMatch, reverse
from drf_spectacular.openapi import AutoSchema
from rest_framework.settings import api_settings

from accounts.conf import auth_settings
from api import defaults
from api.authentication import AccessTokenAuthentication
from api.errors import render_error

_TOKENS = "api.middleware.AccessTokenMiddleware"
_SESSIONS = "django.contrib.auth.middleware.AuthenticationMiddleware"
_HOOKS = ("PREPROCESSING_HOOKS", "POSTPROCESSING_HOOKS")


@register
def check_project(**_: Any) -> list[CheckMessage]:
    """Check the project's settings of REST framework and of drf-spectacular, and its middleware."""
    return [*_check_errors(), *_check_schema(), *_check_middleware()]


def _check_middleware() -> Iterator[CheckMessage]:
    names = list(settings.MIDDLEWARE)
    if {_TOKENS, _SESSIONS} <= set(names) and names.index(_TOKENS) < names.index(_SESSIONS):
        yield Warning(
            "Plain Django views do not see the user of an access token: a later middleware replaces request.user.",
            hint=f"In MIDDLEWARE, place {_TOKENS} after {_SESSIONS}.",
            id="api.W004",
        )


def _check_errors() -> Iterator[CheckMessage]:
    kinds = cast("list[type]", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    accepts_tokens = any(issubclass(kind, AccessTokenAuthentication) for kind in kinds)
    if accepts_tokens and api_settings.EXCEPTION_HANDLER is not render_error:
        yield Warning(
            "Errors of your own views have no `code`, by which clients decide whether to refresh.",
            hint='Set REST_FRAMEWORK = {"EXCEPTION_HANDLER": "api.errors.render_error", …}.',
            id="api.W001",
        )


def _check_schema() -> Iterator[CheckMessage]:
    if not issubclass(cast("type", api_settings.DEFAULT_SCHEMA_CLASS), AutoSchema):
        yield Error(
            "The OpenAPI document cannot be generated: DEFAULT_SCHEMA_CLASS is not drf-spectacular's.",
            hint='Set REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema", …}.',
            id="api.E002",
        )
    own = getattr(settings, "SPECTACULAR_SETTINGS", {})
    for name in _HOOKS:
        if missing := set(cast("list[str]", defaults.SPECTACULAR_SETTINGS[name])) - set(own.get(name, ())):
            yield Warning(
                f"The OpenAPI document is incomplete: SPECTACULAR_SETTINGS has no {name} {', '.join(missing)}.",
                hint="Extend the SPECTACULAR_SETTINGS of api.defaults.",
                id="api.W002",
            )


@register(deploy=True)
def check_public_path(**_: Any) -> list[CheckMessage]:
    """Check that a path in PUBLIC_URL is one at which this project serves the API."""
    path = urlsplit(auth_settings().public_url).path.rstrip("/")
    if not path or _sign_in_path().startswith(f"{path}/"):
        return []
    return [
        Warning(
            f"PUBLIC_URL has the path {path}, but the API is not served there.",
            hint="Set PUBLIC_URL to a scheme and a host, as in https://auth.example.com. Browsers would not "
            "send the cookie for refreshes to another path.",
            id="api.W003",
        )
    ]


def _sign_in_path() -> str:
    try:
        return reverse("sign-in")
    except NoReverseMatch:
        return ""
