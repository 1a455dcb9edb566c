"""Counters of failed attempts, for rate limits."""

from django.db import models

from accounts.databases import PrimaryQuerySet


class GuessCount(models.Model):
    """A counter of failed attempts. Its key is a digest, so that no name or IP address is stored."""

    key = models.CharField(max_length=100, primary_key=True)
    count = models.IntegerField()
    resets_at = models.FloatField(db_index=True, help_text="When the counter resets, in seconds since the epoch.")

    objects = PrimaryQuerySet["GuessCount"].as_manager()

    class Meta:
        default_permissions = ()  # counters are not edited in the admin

    def __str__(self) -> str:
        return f"{self.count} failures"
