"""System checks of a project's REST framework settings."""

from typing import Any, cast
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Warning, register  # noqa: A004  Django's name
from django.urls import NoReverseMatch, reverse
from rest_framework.settings import api_settings

from accounts.conf import auth_settings
from api.authentication import AccessTokenAuthentication
from api.errors import render_error


@register
def check_errors(**_: Any) -> list[CheckMessage]:
    """Check that the project's own views respond to errors in the same form as this API."""
    kinds = cast("list[type]", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    if (
        any(issubclass(kind, AccessTokenAuthentication) for kind in kinds)
        and api_settings.EXCEPTION_HANDLER is not render_error
    ):
        return [
            Warning(
                "Errors of your own views have no `code`, by which clients decide whether to refresh.",
                hint='Set REST_FRAMEWORK = {"EXCEPTION_HANDLER": "api.errors.render_error", …}.',
                id="api.W001",
            )
        ]
    return []


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
            id="api.W001",
        )
    ]


def _sign_in_path() -> str:
    try:
        return reverse("sign-in")
    except NoReverseMatch:
        return ""
