from importlib import import_module

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The HTTP API of `accounts`."""

    name = "api"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("api.checks")
