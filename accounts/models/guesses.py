"""Counters of failed guesses."""

from django.db import models


class GuessCount(models.Model):
    """One counter of failures: of what (a digest, no name and no address), how many, and until when."""

    key = models.CharField(max_length=100, primary_key=True)
    count = models.IntegerField()
    resets_at = models.FloatField(db_index=True, help_text="Seconds since the epoch.")

    class Meta:
        default_permissions = ()  # nobody edits counters

    def __str__(self) -> str:
        return f"{self.count} failures"
