from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_user_language")]

    operations = [
        migrations.AddField(
            model_name="refreshtoken",
            name="remember",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether the browser stays signed in after it is closed.",
            ),
        ),
        # A state change only: choices are not part of the column.
        migrations.AlterField(
            model_name="refreshtoken",
            name="end_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("signed_out", "signed out"),
                    ("ended_by_owner", "by its owner, from another device"),
                    ("revoked_by_service", "by a service"),
                    ("signed_out_everywhere", "signed out everywhere"),
                    ("revoked", "by an administrator"),
                    ("reused", "refresh token reused"),
                    ("deactivated", "owner deactivated"),
                    ("password_changed", "password changed"),
                    ("limit_reached", "too many sessions"),
                ],
                max_length=24,
            ),
        ),
    ]
