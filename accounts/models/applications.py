"""Applications that sign their users in here (OpenID Connect clients), and their authorization codes."""

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from accounts.databases import PrimaryQuerySet

CLIENT_ID_LENGTH = 60
FIRST_PARTY = "first-party"
"""The `client_id` of tokens that this service's own endpoints issue. All front ends there share this one value."""

# Never only digits: the `sub` of a service would look like the id of a user (RFC 9068 section 5, RFC 9700
# section 4.15).
CLIENT_ID_VALIDATOR = RegexValidator(
    r"\A(?![0-9]+\Z)[a-z0-9][a-z0-9._-]*\Z",
    "Use a-z, 0-9 and . _ - only, begin with a letter or digit, and use at least one letter, as in orders-api.",
)


def validate_client_id(client_id: str, others: type[models.Model]) -> None:
    """Check that a client id is not reserved, and is not one of `others`, the model of the other kind of client.

    Raises ValidationError.
    """
    if client_id == FIRST_PARTY:
        raise ValidationError({"client_id": f"The client ID {FIRST_PARTY} is reserved."})
    if others._default_manager.filter(client_id=client_id).exists():
        name = others._meta.verbose_name
        raise ValidationError({"client_id": f"Another client has this client ID: the {name} {client_id}."})


class Application(models.Model):
    """An application whose users sign in at this service: an OpenID Connect client of the code flow.

    A confidential one has a secret, and may have two while the secret is replaced.
    """

    client_id = models.CharField(
        max_length=CLIENT_ID_LENGTH,
        unique=True,
        validators=[CLIENT_ID_VALIDATOR],
        help_text="The id with which the application identifies itself.",
    )
    name = models.CharField(max_length=100, help_text="The name that users are shown.")
    is_confidential = models.BooleanField(
        "confidential",
        default=False,
        help_text="Whether the application runs on a server and authenticates with a secret.",
    )
    secret_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="The SHA-256 of the secret."
    )
    previous_secret_digest = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="The SHA-256 of the secret before the current one, which is still accepted.",
    )
    redirect_uris = models.JSONField(
        default=list, help_text="The addresses to which users return after they signed in, compared exactly."
    )
    post_logout_redirect_uris = models.JSONField(
        default=list,
        blank=True,
        help_text="The addresses to which users return after they signed out, compared exactly.",
    )
    backchannel_logout_uri = models.CharField(
        max_length=500,
        blank=True,
        help_text="The address that is notified when a session of the application ends.",
    )
    audiences = models.JSONField(
        default=list,
        blank=True,
        help_text="The services of AUTH_AUDIENCE that the application's access tokens are for. Empty for all.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="Clear this to refuse sign-ins and refreshes of the application."
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    objects = PrimaryQuerySet["Application"].as_manager()

    def __str__(self) -> str:
        return self.client_id

    def clean(self) -> None:
        """Check that no service has the client id.

        Raises ValidationError.
        """
        from accounts.models.services import Service  # noqa: PLC0415  the two models check each other

        super().clean()
        validate_client_id(self.client_id, Service)


class AuthorizationCode(models.Model):
    """An authorization code (RFC 6749 section 4.1.2), which is exchanged once for the tokens of a new session.

    It is stored past its expiry, so that a second use ends the session that the first one opened.
    """

    digest = models.CharField(primary_key=True, max_length=64, help_text="The SHA-256 of the code.")
    # Without constraints on the sessions: expired ones are purged in plain SQL, also by the previous release.
    browser = models.ForeignKey(
        "accounts.RefreshToken",
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="authorization_codes",
        help_text="The sign-in of the browser that got the code.",
    )
    application = models.ForeignKey(
        Application, on_delete=models.CASCADE, to_field="client_id", related_name="authorization_codes"
    )
    redirect_uri = models.TextField()
    code_challenge = models.CharField(max_length=43, help_text="The PKCE challenge (RFC 7636), with S256.")
    nonce = models.TextField(blank=True)
    scope = models.TextField()
    audience = models.JSONField(default=list, help_text="The `aud` claim of the access tokens.")
    expires_at = models.DateTimeField("expires", db_index=True)
    session_id = models.UUIDField("session", null=True, help_text="The session that the first use opened.")

    objects = PrimaryQuerySet["AuthorizationCode"].as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"an authorization code of {self.application_id}"
