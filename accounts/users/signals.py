"""Make changes of roles and users by any ORM call take effect immediately.

Roles change through a user (`user.roles.add(...)`), through a role (`role.users.remove(...)`) and by deleting a
role. Each increments `token_version` in the same transaction, so that access tokens with the roles from before are
rejected as `token_stale`.
"""

from collections.abc import Collection
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver
from django.utils import timezone

from accounts.fields import new_security_stamp
from accounts.models import Invitation, LogoutDelivery, RefreshToken, Role, User
from accounts.sessions import validity

_CHANGES = ("post_add", "post_remove", "pre_clear")
"""The actions of `m2m_changed` that are handled. After a clear, the former holders of the role are unknown."""


@receiver(m2m_changed, sender=User.roles.through)
def invalidate_tokens_when_roles_change(
    instance: User | Role, action: str, pk_set: Collection[Any] | None, using: str, **_: Any
) -> None:
    """Invalidate the access tokens of the users whose roles change."""
    if action not in _CHANGES or pk_set == set():
        return
    if isinstance(instance, User):
        _invalidate_tokens(User.objects.using(using).filter(pk=instance.pk))
        instance.__dict__.pop("fetched_role_names", None)
        instance.refresh_from_db(using=using, fields=["token_version"])
    elif pk_set is None:
        _invalidate_tokens(User.objects.using(using).filter(roles=instance))
    else:
        _invalidate_tokens(User.objects.using(using).filter(pk__in=pk_set))


@receiver(pre_delete, sender=Role)
def invalidate_tokens_when_a_role_is_deleted(instance: Role, using: str, **_: Any) -> None:
    """Invalidate the access tokens of the users who have the role."""
    _invalidate_tokens(User.objects.using(using).filter(roles=instance))


@receiver(pre_delete, sender=User)
def revoke_open_invitations_of_a_deleted_user(instance: User, using: str, **_: Any) -> None:
    """Revoke the open invitations that the user sent, which without a sender would count as sent by a command."""
    now = timezone.now()
    Invitation.objects.using(using).open(now).filter(invited_by=instance).update(revoked_at=now)


@receiver(pre_delete, sender=User)
def notify_applications_of_a_deleted_user(instance: User, using: str, **_: Any) -> None:
    """Queue the logout tokens of the user's sessions, whose rows are deleted with the user."""
    now = timezone.now()
    sessions = RefreshToken.objects.using(using).live(now).with_valid_owner().filter(owner=instance)
    LogoutDelivery.objects.using(using).enqueue(sessions, now)


@receiver(pre_save, sender=User)
def derive_columns_of_fixtures(instance: User, raw: bool, using: str, **_: Any) -> None:  # noqa: FBT001  Django's signature
    """Set the columns that `loaddata` does not compute: a fixture need not have them, or has those from before.

    An earlier token version would make tokens valid that were issued before the roles changed.
    """
    if not raw:
        return
    instance.set_comparison_keys()
    stored = User.objects.using(using).filter(pk=instance.pk).first()
    if stored is None:
        return
    instance.token_version = max(instance.token_version, stored.token_version)
    if instance.password != stored.password:
        instance.security_stamp = new_security_stamp()


@receiver([post_save, post_delete], sender=User)
def forget_cached_validity(instance: User, *, created: bool = False, **_: Any) -> None:
    """Forget the cached validity of the user's sessions, which depends on `is_active` and `security_stamp`.

    `QuerySet.update()` sends no signal: its changes take effect after AUTH_REVOCATION_LAG.
    """
    if not created:
        validity.forget(instance.pk)


def _invalidate_tokens(users: QuerySet[User]) -> None:
    user_ids = list(users.values_list("pk", flat=True))
    users.update(token_version=F("token_version") + 1)
    for user_id in user_ids:
        validity.forget(user_id)
