from django.contrib.admin.apps import AdminConfig


class AuthAdminConfig(AdminConfig):
    """Makes Django's admin use this service's site."""

    default_site = "accounts.admin.site.AuthAdminSite"
