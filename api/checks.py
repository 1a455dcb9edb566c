"""What `manage.py check` has to say where a project's settings for REST framework do not fit this app."""

from typing import Any, cast

from django.core.checks import CheckMessage, Error, register
from rest_framework.settings import api_settings

from api.authentication import AccessTokenAuthentication
from api.errors import render_error


@register
def check_errors(**_: Any) -> list[CheckMessage]:
    """Look for views that take access tokens and cannot answer that one is refused."""
    kinds = cast("list[type]", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    if (
        any(issubclass(kind, AccessTokenAuthentication) for kind in kinds)
        and api_settings.EXCEPTION_HANDLER is not render_error
    ):
        return [
            Error(
                "A refused access token would be answered with 500.",
                hint='REST_FRAMEWORK = {"EXCEPTION_HANDLER": "api.errors.render_error", …}',
                id="api.E001",
            )
        ]
    return []
