from django.apps import AppConfig


class AuthClientConfig(AppConfig):
    """The app with the table of identities."""

    name = "authclient.django"
    label = "authclient"
    verbose_name = "Token service"
    default_auto_field = "django.db.models.BigAutoField"
