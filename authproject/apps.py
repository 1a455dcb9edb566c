"""The app configuration that makes Django's admin use the service's admin site."""

from importlib import import_module

from django.contrib.admin.apps import AdminConfig


class AuthAdminConfig(AdminConfig):
    """Django's admin with this service's site. Replaces `django.contrib.admin` in INSTALLED_APPS."""

    default_site = "accounts.admin.site.AuthAdminSite"

    def ready(self) -> None:
        """Register the system checks too."""
        super().ready()
        import_module("authproject.checks")
