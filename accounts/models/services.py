"""Registered services, which may introspect and revoke tokens."""

from django.core.validators import RegexValidator
from django.db import models

from accounts.databases import PrimaryQuerySet


class Service(models.Model):
    """A service (an OAuth 2.0 protected resource) that authenticates with a client id and a secret."""

    client_id = models.CharField(
        max_length=60,
        unique=True,
        validators=[
            RegexValidator(
                r"\A[a-z0-9][a-z0-9._-]*\Z",
                "Use a-z, 0-9 and . _ - only, and begin with a letter or digit, as in orders-api.",
            )
        ],
        help_text="The id with which the service authenticates.",
    )
    audience = models.CharField(
        max_length=200,
        help_text="The `aud` claim of tokens for this service. It can introspect no other access tokens.",
    )
    secret_digest = models.CharField(max_length=64, editable=False, help_text="The SHA-256 of the secret.")
    is_active = models.BooleanField(
        "active", default=True, help_text="Clear this to refuse the service's requests."
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    objects = PrimaryQuerySet["Service"].as_manager()

    def __str__(self) -> str:
        return self.client_id
