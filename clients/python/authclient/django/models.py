from typing import ClassVar

from django.conf import settings
from django.db import models


class Identity(models.Model):
    """Links a user of the token service to a user of this project. `subject` is the `sub` of access tokens."""

    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="token_identity")

    objects: ClassVar["models.Manager[Identity]"] = models.Manager()

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="authclient_identity_unique")]

    def __str__(self) -> str:
        return f"user {self.subject} of {self.issuer}"
