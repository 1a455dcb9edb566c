"""System checks of a project's REST framework settings."""

from typing import Any, cast

from django.core.checks import CheckMessage, Warning, register  # noqa: A004  Django's name
from rest_framework.settings import api_settings

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
