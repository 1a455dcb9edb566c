from importlib import import_module

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The HTTP API of `accounts`."""

    name = "api"

    def ready(self) -> None:
        """Register the system checks and the receiver of a signal."""
        import_module("api.checks")
        import_module("api.signals").replace_update_of_last_login()
