"""System checks of the service's environment. They find nothing in a project that embeds the apps."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004  Django's name


@register
def check_environment(**_: Any) -> list[CheckMessage]:
    """Check that every environment variable that begins with AUTH_ is a setting of the service."""
    unknown: dict[str, str] = getattr(settings, "UNKNOWN_SETTINGS", {})
    return [
        Warning(
            f"The environment contains {name}, which is not a setting.",
            hint=f"Did you mean {similar}?" if similar else "docs/settings.md lists all settings.",
            id="authproject.W001",
        )
        for name, similar in unknown.items()
    ]
