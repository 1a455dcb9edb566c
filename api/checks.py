"""System checks of a project's REST framework settings."""

from typing import Any, cast

from django.core.checks import CheckMessage, Error, register
from rest_framework.settings import api_settings

from api.authentication import AccessTokenAuthentication
from api.errors import render_error


@register
def check_errors(**_: Any) -> list[CheckMessage]:
    """Check that views which accept access tokens can respond to an invalid one."""
    kinds = cast("list[type]", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    if (
        any(issubclass(kind, AccessTokenAuthentication) for kind in kinds)
        and api_settings.EXCEPTION_HANDLER is not render_error
    ):
        return [
            Error(
                "An invalid access token would lead to a 500 response.",
                hint='Set REST_FRAMEWORK = {"EXCEPTION_HANDLER": "api.errors.render_error", …}.',
                id="api.E001",
            )
        ]
    return []
