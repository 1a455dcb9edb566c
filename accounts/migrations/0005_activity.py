import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_verified_emails")]

    operations = [
        migrations.CreateModel(
            name="Activity",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("event", models.CharField(max_length=40)),
                ("at", models.DateTimeField(db_index=True, verbose_name="time")),
                ("session_id", models.UUIDField(null=True, verbose_name="session")),
                ("address", models.GenericIPAddressField(null=True)),
                ("user_agent", models.CharField(blank=True, max_length=255, verbose_name="device")),
                (
                    "by",
                    models.BigIntegerField(
                        help_text="The id of the administrator who acted, if any.",
                        null=True,
                        verbose_name="administrator",
                    ),
                ),
                (
                    "details",
                    models.JSONField(
                        default=dict,
                        help_text="Facts such as a reason, role names or a count. Never a secret or user input.",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="activity",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "security event",
                "indexes": [
                    models.Index(fields=["user", "id"], name="activity_by_user"),
                    models.Index(fields=["user", "event", "at"], name="activity_by_kind"),
                ],
            },
        ),
    ]
