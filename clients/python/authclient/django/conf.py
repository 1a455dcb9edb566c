from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def service_settings() -> dict[str, Any]:
    """Return the setting AUTH_SERVICE.

    Raises ImproperlyConfigured if it has no issuer or audience.
    """
    service: dict[str, Any] = getattr(settings, "AUTH_SERVICE", {})
    if not {"issuer", "audience"} <= set(service):
        raise ImproperlyConfigured('AUTH_SERVICE must be a dictionary with "issuer" and "audience".')
    return service
