"""Services of the company that ask this one about tokens."""

from django.core.validators import RegexValidator
from django.db import models


class Service(models.Model):
    """A registered service (an OAuth 2.0 protected resource), which proves itself by an id and a secret."""

    client_id = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9][a-z0-9._-]*\Z", "An id is like orders-api: a-z 0-9 . _ -")],
        help_text="What the service calls itself.",
    )
    audience = models.CharField(
        max_length=200, help_text="The `aud` that the service answers to. It is told of tokens for it alone."
    )
    secret_digest = models.CharField(max_length=64, editable=False, help_text="The SHA-256 of the secret.")
    is_active = models.BooleanField("active", default=True, help_text="Whether the service may ask.")
    created_at = models.DateTimeField("created", auto_now_add=True)

    def __str__(self) -> str:
        return self.client_id
