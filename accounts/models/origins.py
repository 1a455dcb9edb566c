"""Where a user has signed up or signed in from."""

from datetime import datetime, timedelta

from django.db import models

from accounts.models.users import User

MAX_ORIGINS_PER_KIND = 50
"""How many networks, and how many devices, of one user are known."""

RENEWAL_INTERVAL = timedelta(days=30)
"""How long after it was last noted the use of a known origin is noted again."""


class OriginKind(models.TextChoices):
    """What of an origin is known."""

    NETWORK = "network", "network"
    DEVICE = "device", "device"


class KnownOriginQuerySet(models.QuerySet["KnownOrigin"]):
    """Queries on known origins."""

    def remember(self, user: User, network: str, device: str, *, at: datetime) -> None:
        """Keep a network and a device, by their digests, from now on; of many, the newest."""
        digests = {OriginKind.NETWORK: network, OriginKind.DEVICE: device}
        rows = [KnownOrigin(user=user, kind=kind, digest=digest, since=at) for kind, digest in digests.items()]
        self.bulk_create(rows, update_conflicts=True, unique_fields=["user", "digest"], update_fields=["since"])
        for kind in digests:
            newest = self.filter(user=user, kind=kind).order_by("-since", "-pk")
            self.filter(pk__in=newest.values("pk")[MAX_ORIGINS_PER_KIND:]).delete()


class KnownOrigin(models.Model):
    """One network or device of one user, as a digest.

    From a known network, strangers' guesses do not lock the user out; of a sign-in from an unknown device the user
    is told.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_origins")
    kind = models.CharField(max_length=8, choices=OriginKind, default=OriginKind.NETWORK)
    digest = models.CharField(max_length=32)
    since = models.DateTimeField(db_index=True, help_text="When it was last noted.")

    objects = KnownOriginQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # nobody edits them
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="known_origin_unique")]

    def __str__(self) -> str:
        return f"a {self.kind} of user {self.user_id}"
