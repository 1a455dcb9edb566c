"""Networks that a user has signed up or signed in from."""

from datetime import datetime

from django.db import models

from accounts.models.users import User


class KnownNetworkQuerySet(models.QuerySet["KnownNetwork"]):
    """Queries on known networks."""

    def remember(self, user: User, digest: str, *, at: datetime) -> None:
        """Keep a network, unless it is kept already."""
        self.bulk_create([KnownNetwork(user=user, digest=digest, since=at)], ignore_conflicts=True)


class KnownNetwork(models.Model):
    """One network of one user, as a digest; from there, strangers' guesses do not lock the user out."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_networks")
    digest = models.CharField(max_length=32)
    since = models.DateTimeField(db_index=True)

    objects = KnownNetworkQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # nobody edits them
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="known_network_unique")]

    def __str__(self) -> str:
        return f"a network of user {self.user_id}"
