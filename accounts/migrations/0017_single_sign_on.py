import accounts.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0016_second_factors"),
    ]

    operations = [
        migrations.CreateModel(
            name="Application",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "client_id",
                    models.CharField(
                        help_text="The id with which the application identifies itself.",
                        max_length=60,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A(?![0-9]+\\Z)[a-z0-9][a-z0-9._-]*\\Z",
                                "Use a-z, 0-9 and . _ - only, begin with a letter or digit, and use at least one letter, as in orders-api.",
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(help_text="The name that users are shown.", max_length=100)),
                (
                    "is_confidential",
                    models.BooleanField(
                        default=False,
                        help_text="Whether the application runs on a server and authenticates with a secret.",
                        verbose_name="confidential",
                    ),
                ),
                (
                    "secret_digest",
                    models.CharField(
                        blank=True, editable=False, help_text="The SHA-256 of the secret.", max_length=64
                    ),
                ),
                (
                    "previous_secret_digest",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The SHA-256 of the secret before the current one, which is still accepted.",
                        max_length=64,
                    ),
                ),
                (
                    "redirect_uris",
                    models.JSONField(
                        default=list,
                        help_text="The addresses to which users return after they signed in, compared exactly.",
                    ),
                ),
                (
                    "post_logout_redirect_uris",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The addresses to which users return after they signed out, compared exactly.",
                    ),
                ),
                (
                    "backchannel_logout_uri",
                    models.CharField(
                        blank=True,
                        help_text="The address that is notified when a session of the application ends.",
                        max_length=500,
                    ),
                ),
                (
                    "audiences",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The services of AUTH_AUDIENCE that the application's access tokens are for. Empty for all.",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Clear this to refuse sign-ins and refreshes of the application.",
                        verbose_name="active",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
            ],
        ),
        migrations.CreateModel(
            name="AuthorizationCode",
            fields=[
                (
                    "digest",
                    models.CharField(
                        help_text="The SHA-256 of the code.", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("redirect_uri", models.TextField()),
                (
                    "code_challenge",
                    models.CharField(help_text="The PKCE challenge (RFC 7636), with S256.", max_length=43),
                ),
                ("nonce", models.TextField(blank=True)),
                ("scope", models.TextField()),
                ("audience", models.JSONField(default=list, help_text="The `aud` claim of the access tokens.")),
                ("expires_at", models.DateTimeField(db_index=True, verbose_name="expires")),
                (
                    "session_id",
                    models.UUIDField(
                        help_text="The session that the first use opened.", null=True, verbose_name="session"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="LogoutDelivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=accounts.fields.new_session_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("client_id", models.CharField(help_text="The application: the `aud` claim.", max_length=60)),
                (
                    "uri",
                    models.TextField(
                        help_text="The back-channel logout URI of the application when the session ended."
                    ),
                ),
                ("session_id", models.UUIDField(unique=True, verbose_name="session")),
                (
                    "subject",
                    models.CharField(help_text="The `sub` claim: the id of the session's owner.", max_length=40),
                ),
                ("created_at", models.DateTimeField(verbose_name="created")),
                ("next_attempt_at", models.DateTimeField(db_index=True, verbose_name="next attempt")),
                ("attempts", models.PositiveIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "logout deliveries",
                "default_permissions": ("view", "change"),
            },
        ),
        migrations.AddField(
            model_name="refreshtoken",
            name="kind",
            field=models.CharField(
                choices=[("tokens", "tokens"), ("browser", "single sign-on in a browser")],
                db_default="tokens",
                default="tokens",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="refreshtoken",
            name="parent",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The sign-in of the browser that the session came of.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="children",
                to="accounts.refreshtoken",
            ),
        ),
        migrations.AddField(
            model_name="refreshtoken",
            name="scope",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="The `scope` claim of its tokens."
            ),
        ),
        migrations.AddField(
            model_name="service",
            name="audiences",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="The services of AUTH_AUDIENCE that this service may call with a token of its own.",
            ),
        ),
        migrations.AddField(
            model_name="service",
            name="roles",
            field=models.JSONField(
                blank=True,
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="The names of the roles in these tokens.",
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
                    ("revoked_by_service", "by a service"),
                    ("signed_out_everywhere", "signed out everywhere"),
                    ("revoked", "by an administrator"),
                    ("reused", "refresh token reused"),
                    ("deactivated", "owner deactivated"),
                    ("password_changed", "password changed"),
                    ("limit_reached", "too many sessions"),
                    ("second_factor_added", "second factor added"),
                    ("second_factors_reset", "second factors reset"),
                    ("second_factor_removed", "second factor removed"),
                    ("code_reused", "authorization code reused"),
                    ("application_deleted", "application deleted"),
                ],
                max_length=24,
            ),
        ),
        migrations.AlterField(
            model_name="service",
            name="client_id",
            field=models.CharField(
                help_text="The id with which the service authenticates.",
                max_length=60,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "\\A(?![0-9]+\\Z)[a-z0-9][a-z0-9._-]*\\Z",
                        "Use a-z, 0-9 and . _ - only, begin with a letter or digit, and use at least one letter, as in orders-api.",
                    )
                ],
            ),
        ),
        migrations.AddField(
            model_name="refreshtoken",
            name="application",
            field=models.ForeignKey(
                db_index=False,
                help_text="The application that holds the tokens. None for this service's own endpoints.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="sessions",
                to="accounts.application",
                to_field="client_id",
            ),
        ),
        migrations.AddIndex(
            model_name="refreshtoken",
            index=models.Index(
                condition=models.Q(("parent", None), _negated=True), fields=["parent"], name="session_by_parent"
            ),
        ),
        migrations.AddIndex(
            model_name="refreshtoken",
            index=models.Index(
                condition=models.Q(("application", None), _negated=True),
                fields=["application", "uuid"],
                name="session_by_application",
            ),
        ),
        migrations.AddField(
            model_name="authorizationcode",
            name="application",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="authorization_codes",
                to="accounts.application",
                to_field="client_id",
            ),
        ),
        migrations.AddField(
            model_name="authorizationcode",
            name="browser",
            field=models.ForeignKey(
                db_constraint=False,
                help_text="The sign-in of the browser that got the code.",
                on_delete=django.db.models.deletion.CASCADE,
                related_name="authorization_codes",
                to="accounts.refreshtoken",
            ),
        ),
        migrations.AddIndex(
            model_name="logoutdelivery",
            index=models.Index(fields=["client_id", "next_attempt_at"], name="logout_by_receiver"),
        ),
    ]
