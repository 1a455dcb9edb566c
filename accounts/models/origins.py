"""The networks and devices from which a user has signed up or signed in."""

from datetime import datetime, timedelta

from django.db import models

from accounts.databases import PrimaryQuerySet
from accounts.models.users import User

MAX_ORIGINS_PER_KIND = 50
"""How many networks, and how many devices, are stored for one user."""

RENEWAL_INTERVAL = timedelta(days=30)
"""How old `since` must be before a sign-in from a known origin updates it. Limits the number of writes."""


class OriginKind(models.TextChoices):
    """The kinds of origin."""

    NETWORK = "network", "network"
    DEVICE = "device", "device"


class KnownOriginQuerySet(PrimaryQuerySet["KnownOrigin"]):
    """Queries on known origins."""

    def remember(self, user: User, network: str, device: str, *, at: datetime) -> None:
        """Store the digests of a network and a device of a user, and delete all but the newest of each kind."""
        digests = {OriginKind.NETWORK: network, OriginKind.DEVICE: device}
        rows = [KnownOrigin(user=user, kind=kind, digest=digest, since=at) for kind, digest in digests.items()]
        self.bulk_create(rows, update_conflicts=True, unique_fields=["user", "digest"], update_fields=["since"])
        for kind in digests:
            newest = self.filter(user=user, kind=kind).order_by("-since", "-pk")
            self.filter(pk__in=newest.values("pk")[MAX_ORIGINS_PER_KIND:]).delete()


class KnownOrigin(models.Model):
    """A network or device of a user, stored as a digest.

    Failed attempts from other networks do not lock the user out of a known network. The user is notified
    by email of a sign-in from an unknown device.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_origins")
    kind = models.CharField(max_length=8, choices=OriginKind, default=OriginKind.NETWORK)
    digest = models.CharField(max_length=32)
    since = models.DateTimeField(db_index=True, help_text="When a sign-in from here was last recorded.")

    objects = KnownOriginQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # origins are not edited in the admin
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="known_origin_unique")]

    def __str__(self) -> str:
        return f"a {self.kind} of user {self.user_id}"
