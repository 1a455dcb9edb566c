"""Registered services, which may introspect and revoke tokens, and get access tokens of their own."""

from django.db import models

from accounts.databases import PrimaryQuerySet
from accounts.models.applications import CLIENT_ID_LENGTH, CLIENT_ID_VALIDATOR, Application, validate_client_id


class Service(models.Model):
    """A service (an OAuth 2.0 protected resource) that authenticates with a client id and a secret."""

    client_id = models.CharField(
        max_length=CLIENT_ID_LENGTH,
        unique=True,
        validators=[CLIENT_ID_VALIDATOR],
        help_text="The id with which the service authenticates.",
    )
    audience = models.CharField(
        max_length=200,
        help_text="The `aud` claim of tokens for this service. It can introspect no other access tokens.",
    )
    # The database has the defaults too: during an upgrade, the previous release inserts services without them.
    audiences = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="The services of AUTH_AUDIENCE that this service may call with a token of its own.",
    )
    roles = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="The names of the roles in these tokens.",
    )
    secret_digest = models.CharField(max_length=64, editable=False, help_text="The SHA-256 of the secret.")
    is_active = models.BooleanField(
        "active", default=True, help_text="Clear this to refuse the service's requests."
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    objects = PrimaryQuerySet["Service"].as_manager()

    def __str__(self) -> str:
        return self.client_id

    def clean(self) -> None:
        """Check that no application has the client id.

        Raises ValidationError.
        """
        super().clean()
        validate_client_id(self.client_id, Application)
