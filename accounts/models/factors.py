"""Second factors: authenticator apps, passkeys and recovery codes, and the sign-ins that wait for one."""

from datetime import datetime
from typing import Self

from django.db import models

from accounts.databases import PrimaryQuerySet
from accounts.fields import new_session_id
from accounts.models.users import User

FACTOR_NAME_LENGTH = 60
MAX_CREDENTIAL_ID_LENGTH = 1023
"""Bytes (WebAuthn Level 3 section 4)."""


class AuthenticatorQuerySet(PrimaryQuerySet["Authenticator"]):
    """Queries on authenticator apps."""

    def confirmed(self) -> Self:
        """Filter to authenticators whose owner has entered a first code. Others are not factors yet."""
        return self.filter(confirmed_at__isnull=False)

    def consume(self, authenticator: "Authenticator", time_step: int, at: datetime) -> bool:
        """Mark the code of a time step as used, and return False if it, or a later one, was used before.

        Of simultaneous uses, exactly one succeeds (RFC 6238 section 5.2).
        """
        unused = self.filter(pk=authenticator.pk, last_time_step__lt=time_step)
        return unused.update(last_time_step=time_step, last_used_at=at) == 1


class Authenticator(models.Model):
    """An app that generates time-based one-time codes (TOTP, RFC 6238)."""

    id = models.UUIDField(primary_key=True, default=new_session_id, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="authenticators")
    name = models.CharField(max_length=FACTOR_NAME_LENGTH)
    created_at = models.DateTimeField("created")
    confirmed_at = models.DateTimeField(
        "confirmed", null=True, db_index=True, help_text="When the first code was entered."
    )
    last_used_at = models.DateTimeField("last used", null=True)
    encrypted_secret = models.BinaryField(
        max_length=64, help_text="The shared secret, encrypted under a key derived from SECRET_KEY."
    )
    last_time_step = models.BigIntegerField(
        default=0, help_text="The time step of the last used code. Codes up to it are refused."
    )

    objects = AuthenticatorQuerySet.as_manager()

    class Meta:
        verbose_name = "authenticator app"
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return self.name


class PasskeyQuerySet(PrimaryQuerySet["Passkey"]):
    """Queries on passkeys."""

    def record_use(self, passkey: "Passkey", sign_count: int, *, is_backed_up: bool, at: datetime) -> bool:
        """Store the sign counter of an assertion, and return False if the counter did not increase.

        A counter that is always zero is not supported by the authenticator, and not compared (WebAuthn Level 3
        section 6.1.1). Of simultaneous uses of one counter value, exactly one succeeds.
        """
        rows = self.filter(pk=passkey.pk)
        increased = rows.filter(sign_count__lt=sign_count) if sign_count else rows.filter(sign_count=0)
        return increased.update(sign_count=sign_count, is_backed_up=is_backed_up, last_used_at=at) == 1


class Passkey(models.Model):
    """A WebAuthn credential with a public key."""

    id = models.UUIDField(primary_key=True, default=new_session_id, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=FACTOR_NAME_LENGTH)
    created_at = models.DateTimeField("created")
    last_used_at = models.DateTimeField("last used", null=True)
    credential_id = models.BinaryField(max_length=MAX_CREDENTIAL_ID_LENGTH, unique=True)
    public_key = models.BinaryField(max_length=2048, help_text="The public key as a COSE_Key (RFC 9052).")
    user_handle = models.BinaryField(
        max_length=64, help_text="The random id of the owner by which authenticators know the account."
    )
    sign_count = models.BigIntegerField(help_text="The signature counter of the last use, or 0 if there is none.")
    aaguid = models.UUIDField(help_text="The model of the authenticator. Zero if the browser withholds it.")
    transports = models.CharField(
        max_length=100, blank=True, help_text="How browsers reach the authenticator, comma-separated."
    )
    is_synced = models.BooleanField(
        "synced", help_text="Whether the passkey can be copied to other devices of the owner (backup eligible)."
    )
    is_backed_up = models.BooleanField("backed up", help_text="Whether the passkey was copied at its last use.")

    objects = PasskeyQuerySet.as_manager()

    class Meta:
        default_permissions = ("view", "delete")

    def __str__(self) -> str:
        return self.name


class RecoveryCode(models.Model):
    """A code that replaces a lost factor once, stored as a keyed hash. A used code is deleted."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes", db_index=False)
    digest = models.CharField(max_length=64)

    objects = PrimaryQuerySet["RecoveryCode"].as_manager()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["owner", "digest"], name="recovery_code_unique")]

    def __str__(self) -> str:
        return f"a recovery code of user {self.owner_id}"


class PendingSignInQuerySet(PrimaryQuerySet["PendingSignIn"]):
    """Queries on pending sign-ins."""

    def count_attempt(self, digest: str, *, max_attempts: int, now: datetime) -> bool:
        """Count an attempt, and return False if the sign-in is unknown, expired or out of attempts."""
        usable = self.filter(pk=digest, expires_at__gt=now, attempts__lt=max_attempts)
        return usable.update(attempts=models.F("attempts") + 1) == 1


class PendingSignIn(models.Model):
    """A sign-in whose password was right and whose second factor is missing: an `authSession`."""

    digest = models.CharField(primary_key=True, max_length=64, help_text="The SHA-256 of the authSession.")
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="pending_sign_ins")
    owner_stamp = models.BigIntegerField(help_text="The owner's security stamp when the password was verified.")
    expires_at = models.DateTimeField("expires", db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    options = models.JSONField(default=dict, help_text="What the client asked for at the sign-in.")

    objects = PendingSignInQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"a pending sign-in of user {self.owner_id}"


class UsedChallenge(models.Model):
    """A WebAuthn challenge that was answered. It is stored until it expires, so that it works once."""

    digest = models.CharField(primary_key=True, max_length=64)
    expires_at = models.DateTimeField("expires", db_index=True)

    objects = PrimaryQuerySet["UsedChallenge"].as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"challenge {self.digest}"
