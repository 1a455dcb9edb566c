"""Invite people to sign up, revoke invitations, and accept them at sign-up.

A token is 256 random bits that are sent to the invited address. The row stores its SHA-256, so that the database
alone yields no valid token.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.conf import auth_settings
from accounts.databases import atomic
from accounts.errors import EmailTaken, InvalidRequest, InvitationInvalid, SignUpClosed, Throttled
from accounts.history import background, mail
from accounts.history.events import Event, record
from accounts.history.mail import MailTemplate
from accounts.limits import attempts
from accounts.models import DEFAULT_ROLE, Invitation, InvitationQuerySet, User
from accounts.users.roles import refuse_unknown
from accounts.values.clients import Client
from accounts.values.digests import digest_of
from accounts.values.identifiers import normalize_email

DEFAULT_LIFETIME = timedelta(days=7)
MAX_LIFETIME = timedelta(days=365)

TOKEN_PREFIX = "authinv_"  # noqa: S105
"""A fixed prefix, so that secret scanners recognize a leaked token."""

_MAX_LENGTH = 100  # characters; longer than any issued token


def invite(
    email: str, roles: Sequence[str], lifetime: timedelta, client: Client, *, by: int | None = None
) -> Invitation:
    """Store an invitation and queue the email with its token. Open invitations of the address are revoked.

    `roles` are granted in addition to the default role; the caller checks that the inviter may grant them. `by` is
    the id of the administrator who invites, if any.

    Raises SignUpClosed if AUTH_SIGNUP is closed, InvalidRequest, EmailTaken or RoleUnknown.
    """
    invitation = Invitation(
        email=normalize_email(email),
        roles=sorted(set(roles)),
        invited_by_id=by,
        expires_at=timezone.now() + lifetime,
    )
    refuse_invalid(invitation)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    invitation.token_digest = digest_of(token)
    with atomic(User):
        revoke(Invitation.objects.filter(email__iexact=invitation.email), client, by=by)
        invitation.save(force_insert=True)
        record(
            Event.INVITATION_CREATED,
            client=client,
            user_id=by,
            by=by,
            invitation=invitation.pk,
            roles=invitation.roles,
        )
        background.MAIL.after_commit(_mail_token, invitation, token, lifetime)
    return invitation


def refuse_invalid(invitation: Invitation) -> None:
    """Raise SignUpClosed, InvalidRequest, EmailTaken or RoleUnknown if the invitation could not be used."""
    if auth_settings().signup == "closed":
        raise SignUpClosed
    try:
        invitation.clean_fields(exclude={"roles", "token_digest", "expires_at"})
    except ValidationError as error:
        raise InvalidRequest(errors=error.message_dict) from None
    if User.objects.with_email(invitation.email).exists():
        raise EmailTaken
    refuse_unknown(invitation.roles)


def revoke(invitations: InvitationQuerySet, client: Client, *, by: int | None = None) -> int:
    """Revoke the open ones of these invitations, and return their number. `by` is the id of the administrator."""
    now: datetime = timezone.now()
    revoked = 0
    for invitation_id in list(invitations.open(now).values_list("pk", flat=True)):
        # Filtered again, because it may have been used since it was selected.
        if Invitation.objects.open(now).filter(pk=invitation_id).update(revoked_at=now):
            record(Event.INVITATION_REVOKED, client=client, user_id=by, by=by, invitation=invitation_id)
            revoked += 1
    return revoked


def find(token: str, client: Client) -> Invitation:
    """Return the open invitation with this token. An invalid token counts as a failed attempt.

    Raises InvitationInvalid without revealing the reason, or Throttled if the network of the client has reached
    its limit.
    """
    try:
        attempt = attempts.count_for_address(client)
    except Throttled:
        record(Event.SIGN_UP_LOCKED_OUT, client=client)
        raise
    if len(token) > _MAX_LENGTH:
        raise InvitationInvalid
    found: Invitation | None = (
        Invitation.objects.open(timezone.now()).filter(token_digest=digest_of(token)).first()
    )
    if found is None or not _may_invite(found.invited_by_id, found.roles):
        raise InvitationInvalid
    attempt.uncount()
    return found


def claim(invitation: Invitation, at: datetime) -> None:
    """Mark an invitation as used. Call this in the transaction that stores the user.

    Of concurrent uses only one succeeds: the others wait for its transaction.

    Raises InvitationInvalid if the invitation is no longer open, or its inviter may not send it any more.
    """
    if not Invitation.objects.open(at).filter(pk=invitation.pk).update(used_at=at):
        raise InvitationInvalid
    # Read again: the inviter may have lost the right while the password was hashed.
    if not _may_invite(invitation.invited_by_id, invitation.roles):
        raise InvitationInvalid


def _may_invite(inviter_id: int | None, roles: Sequence[str]) -> bool:
    """Return whether an administrator may invite now, and grant these roles. None is an invitation by command.

    Open invitations of a deleted administrator are revoked (`accounts.users.signals`).
    """
    if inviter_id is None:
        return True
    inviter = User.objects.filter(pk=inviter_id, is_active=True, is_staff=True).first()
    if inviter is None or not inviter.has_perm("accounts.add_invitation"):
        return False
    return inviter.is_superuser or set(roles) <= {DEFAULT_ROLE}


def _mail_token(invitation: Invitation, token: str, lifetime: timedelta) -> None:
    page = auth_settings().invitation_url
    mail.send_link(MailTemplate.INVITATION, invitation.email, page, token, days=lifetime.days)
