"""Invitations to sign up."""

from datetime import datetime
from typing import Self

from django.db import models

from accounts.databases import PrimaryQuerySet
from accounts.models.users import User
from accounts.values.identifiers import EMAIL_LENGTH, validate_email_address


class InvitationQuerySet(PrimaryQuerySet["Invitation"]):
    """Queries on invitations."""

    def open(self, at: datetime) -> Self:
        """Filter to the invitations that can be used at the given time."""
        return self.filter(used_at=None, revoked_at=None, expires_at__gt=at)


class Invitation(models.Model):
    """An invitation to sign up with an email address. Its token is sent to that address and works once."""

    email = models.EmailField("email address", max_length=EMAIL_LENGTH, validators=[validate_email_address])
    roles = models.JSONField(
        default=list, blank=True, help_text="The names of the roles to grant in addition to the default role."
    )
    token_digest = models.CharField(
        max_length=64, unique=True, editable=False, help_text="The SHA-256 of the token."
    )
    invited_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, editable=False, related_name="sent_invitations"
    )
    created_at = models.DateTimeField("created", auto_now_add=True)
    expires_at = models.DateTimeField("expires", db_index=True)
    revoked_at = models.DateTimeField("revoked", null=True, editable=False)
    used_at = models.DateTimeField("used", null=True, editable=False)
    # Deleting an account deletes its invitation too, which contains its email address.
    used_by = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, editable=False, related_name="invitations"
    )

    objects = InvitationQuerySet.as_manager()

    def __str__(self) -> str:
        return self.email

    def state(self, at: datetime) -> str:
        """Return whether the invitation is used, revoked, expired or open at the given time."""
        if self.used_at:
            return "used"
        if self.revoked_at:
            return "revoked"
        return "open" if self.expires_at > at else "expired"
