"""Record field classes that fill their columns on save. The columns themselves do not change."""

from django.db import migrations

import accounts.fields


class Migration(migrations.Migration):
    """Change the state only: SQLite would rebuild the table of users for an `AlterField`."""

    dependencies = [("accounts", "0013_session_remember")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="user",
                    name="email_verified_at",
                    field=accounts.fields.VerifiedAtField(
                        editable=False,
                        help_text="When the user last confirmed this address.",
                        null=True,
                        verbose_name="email verified",
                    ),
                ),
                migrations.AlterField(
                    model_name="user",
                    name="security_stamp",
                    field=accounts.fields.SecurityStampField(
                        default=accounts.fields.new_security_stamp,
                        editable=False,
                        help_text="Replaced when the password changes. Sessions with an older stamp are revoked.",
                    ),
                ),
                migrations.AlterField(
                    model_name="user",
                    name="token_version",
                    field=accounts.fields.TokenVersionField(
                        default=0,
                        editable=False,
                        help_text="The `ver` claim of access tokens. It is incremented when the roles or the password change.",
                    ),
                ),
            ]
        )
    ]
