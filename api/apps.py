from importlib import import_module

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The HTTP face of `accounts`."""

    name = "api"

    def ready(self) -> None:
        """Have `manage.py check` look at what this app stands on."""
        import_module("api.checks")
