"""The app's configuration, which runs when Django starts."""

from importlib import import_module

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from accounts.conf import auth_settings

ADMIN_MODULES = (
    "activity",
    "applications",
    "invitations",
    "logout_deliveries",
    "services",
    "sessions",
    "users",
)
"""The modules of `accounts.admin` that register a model."""


class AccountsConfig(AppConfig):
    """The app with users, roles, sessions and tokens."""

    name = "accounts"
    verbose_name = _("Accounts")
    # As in the migrations: the DEFAULT_AUTO_FIELD of a project must not change the tables of this app.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Validate the settings, and register checks, signal receivers and, if the admin is installed, its pages.

        Raises django.core.exceptions.ImproperlyConfigured for an invalid setting.
        """
        import_module("accounts.checks")
        import_module("accounts.users.signals")
        import_module("accounts.sso.logout_dispatch")
        import_module("accounts.sso.signals")
        receiver = import_module("accounts.models.roles").create_built_in_roles
        post_migrate.connect(receiver, sender=self)
        auth_settings()
        import_module("accounts.limits.counters").counters()
        _silence_clashes_of_users()
        if apps.is_installed("django.contrib.admin"):
            for name in ADMIN_MODULES:
                import_module(f"accounts.admin.{name}")


def _silence_clashes_of_users() -> None:
    """Leave the check `accounts.E006` alone to report another user model.

    Django also reports that the two models clash, and advises to change one of them, which would help nothing.
    """
    if settings.AUTH_USER_MODEL != "accounts.User":
        clashes = ["fields.E304", "fields.E305"]
        settings.SILENCED_SYSTEM_CHECKS = [*settings.SILENCED_SYSTEM_CHECKS, *clashes]
