from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_known_origins")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="email_verified_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When the user last confirmed this address.",
                null=True,
                verbose_name="email verified",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="pending_since",
            field=models.DateTimeField(
                db_index=True,
                editable=False,
                help_text="When the user signed up, as long as sign-in still requires them to verify the address.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="refreshtoken",
            name="end_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("signed_out", "signed out"),
                    ("ended_by_owner", "by its owner, from another device"),
                    ("signed_out_everywhere", "signed out everywhere"),
                    ("revoked", "by an administrator"),
                    ("reused", "refresh token reused"),
                    ("deactivated", "owner deactivated"),
                    ("password_changed", "password changed"),
                ],
                max_length=24,
            ),
        ),
    ]
