"""End the sessions of an application that is deleted by any ORM call."""

from typing import Any

from django.db.models.signals import pre_delete
from django.dispatch import receiver

from accounts.models import Application, EndReason, RefreshToken
from accounts.sessions import lifecycle
from accounts.values.clients import NO_CLIENT


@receiver(pre_delete, sender=Application)
def end_sessions_of_a_deleted_application(instance: Application, using: str, **_: Any) -> None:
    """End the application's sessions, which notifies it. Their rows are deleted with the application."""
    sessions = RefreshToken.objects.using(using).filter(application=instance)
    lifecycle.end_many(sessions, EndReason.APPLICATION_DELETED, NO_CLIENT)
