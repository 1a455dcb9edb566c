"""What it costs to verify the hashes that imports have stored, as long as a user has one."""

from collections.abc import Iterable

from django.db import models
from django.db.models.functions import Greatest

from accounts.databases import PrimaryQuerySet
from accounts.values.password_hashes import HashCost, highest_amounts


class PasswordCostQuerySet(PrimaryQuerySet["PasswordCost"]):
    """Queries on the costs of stored hashes."""

    def amounts(self) -> dict[str, int]:
        """Return the highest amount of each kind."""
        return dict(self.values_list("kind", "amount"))

    def remember(self, costs: Iterable[HashCost]) -> None:
        """Store the highest amount of each kind, in the transaction that stores the hashes."""
        for kind, amount in highest_amounts(costs).items():
            self.get_or_create(kind=kind, defaults={"amount": amount})
            # The row is always written, so that `forget` on another connection does not delete it.
            self.filter(pk=kind).update(
                amount=Greatest("amount", models.Value(amount)), revision=models.F("revision") + 1
            )

    def forget(self, remaining: Iterable[HashCost]) -> None:
        """Delete the kinds of which no hash remains, and lower the amounts to the highest that remains.

        `remaining` is evaluated after the rows are read. A row that changes in the meantime stays.
        """
        rows = list(self)
        amounts = highest_amounts(remaining) if rows else {}
        for row in rows:
            unchanged = self.filter(pk=row.pk, revision=row.revision)
            if row.kind not in amounts:
                unchanged.delete()
            elif amounts[row.kind] < row.amount:
                unchanged.update(amount=amounts[row.kind])


class PasswordCost(models.Model):
    """The cost of the most expensive imported hash of one kind that a user may have.

    A failed sign-in does the work of all kinds, so that its time does not reveal who has such a hash.
    """

    kind = models.CharField(max_length=100, primary_key=True)
    amount = models.PositiveIntegerField()
    revision = models.PositiveIntegerField(default=0)

    objects = PasswordCostQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # costs are not edited in the admin

    def __str__(self) -> str:
        return f"{self.amount} of {self.kind}"
