from importlib import import_module

from django.apps import AppConfig

from accounts.conf import auth_settings


class AccountsConfig(AppConfig):
    """Users, roles, sessions and tokens."""

    name = "accounts"

    def ready(self) -> None:
        """Refuse to start with a wrong setting."""
        import_module("accounts.checks")
        auth_settings()
