from django.apps import AppConfig


class ApiConfig(AppConfig):
    """The HTTP face of `accounts`."""

    name = "api"
