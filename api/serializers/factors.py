"""The fields of requests and responses about second factors and passkeys."""

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.factors.enrollment import Enrolled
from accounts.factors.listing import Factor
from accounts.factors.verification import PresentedFactor
from accounts.models import FACTOR_NAME_LENGTH
from accounts.values.identifiers import validate_factor_name
from api.openapi.schema import with_example
from api.serializers.inputs import AudienceField, StrictBooleanField, StringField
from api.serializers.outputs import time_field

AUTH_SESSION = "authsess_Zx3kPq0v8mA7bW…"
CREDENTIAL = {
    "id": "q83vEjRW…",
    "rawId": "q83vEjRW…",
    "type": "public-key",
    "response": {"clientDataJSON": "eyJ0eXBlIjoi…", "authenticatorData": "SZYN5YgO…", "signature": "MEUCIQ…"},
}
_FACTOR_ID = "01a212d6-34b3-76af-95c9-8fd77c375bea"
_MOMENT = "2026-01-31T12:00:00Z"
_FACTOR = {
    "id": _FACTOR_ID, "type": "totp", "name": "Phone", "createdAt": _MOMENT, "lastUsedAt": None, "synced": None,
}  # fmt: skip
_RECOVERY_CODES = ["7h3kq-0wz9m", "c4xv2-8rj5t"]


@extend_schema_field({"type": "object", "additionalProperties": {}})
class CredentialField(serializers.Field[Any, Any, Any, Any]):
    """What the browser's `PublicKeyCredential.toJSON()` returns. Only a JSON body can contain it."""

    default_error_messages = {"not_object": "This must be an object: the credential as JSON."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object.

        Raises ValidationError.
        """
        if not isinstance(data, dict):
            self.fail("not_object")
        return data


class FactorNameField(StringField):
    """The name that a user chooses for a factor."""

    def __init__(self, **options: Any) -> None:
        rules = {"max_length": FACTOR_NAME_LENGTH, "allow_blank": False, "trim_whitespace": True}
        super().__init__(**{**rules, "validators": [validate_factor_name], **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """Return the name without blanks around it.

        Raises ValidationError.
        """
        return super().run_validation(data.strip() if isinstance(data, str) else data)


class PresentedFactorInput(serializers.Serializer[Any]):
    """A second factor: exactly one of the fields."""

    alternatives: ClassVar[tuple[str, ...]] = ("code", "recoveryCode", "passkey")

    code = StringField(
        required=False, allow_null=True, write_only=True, help_text="A code of an authenticator app."
    )
    recoveryCode = StringField(required=False, allow_null=True, write_only=True)  # noqa: N815
    passkey = CredentialField(
        required=False, allow_null=True, write_only=True, help_text="The browser's response as JSON."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the fields.

        Raises ValidationError unless exactly one of the alternatives is present.
        """
        if sum(attrs.get(name) is not None for name in self.alternatives) != 1:
            raise serializers.ValidationError(f"Send exactly one of {', '.join(self.alternatives)}.")
        return attrs


@with_example(authSession=AUTH_SESSION, code="492039")
class SecondFactorInput(PresentedFactorInput):
    """The body of the second step of a sign-in."""

    authSession = StringField(write_only=True)  # noqa: N815


@with_example(credential=CREDENTIAL)
class PasskeySignInInput(serializers.Serializer[Any]):
    """The body of a sign-in with a passkey."""

    credential = CredentialField(write_only=True)
    audience = AudienceField(required=False, allow_null=True)
    useCookies = StrictBooleanField(required=False, allow_null=True)  # noqa: N815
    remember = StrictBooleanField(required=False, allow_null=True)


@with_example(password="correct horse")  # noqa: S106
class ReauthenticationInput(PresentedFactorInput):
    """The body of a step-up: the password, or a second factor."""

    alternatives = ("password", "code", "recoveryCode", "passkey")

    password = StringField(required=False, allow_null=True, write_only=True)


@with_example(name="Phone")
class AuthenticatorInput(serializers.Serializer[Any]):
    """The body that begins to add an authenticator app."""

    name = FactorNameField(required=False, allow_null=True)


@with_example(id=_FACTOR_ID, code="492039")
class AuthenticatorConfirmInput(serializers.Serializer[Any]):
    """The body that confirms an authenticator app with its first code."""

    id = serializers.UUIDField()
    code = StringField(write_only=True)


@with_example(credential=CREDENTIAL, name="Laptop")
class PasskeyInput(serializers.Serializer[Any]):
    """The body that adds a passkey."""

    credential = CredentialField(write_only=True)
    name = FactorNameField(required=False, allow_null=True)


@with_example(name="Old phone")
class FactorNameInput(serializers.Serializer[Any]):
    """The body that renames a factor."""

    name = FactorNameField()


@with_example(**_FACTOR)
class FactorOutput(serializers.Serializer[Any]):
    """A second factor. `synced` says whether a passkey can be on several devices, and is null for an app."""

    id = serializers.UUIDField()
    type = serializers.ChoiceField(["totp", "passkey"])
    name = serializers.CharField()
    createdAt = time_field()  # noqa: N815
    lastUsedAt = time_field(allow_null=True)  # noqa: N815
    synced = serializers.BooleanField(allow_null=True)


@with_example(factors=[_FACTOR], recoveryCodesLeft=10)
class FactorsOutput(serializers.Serializer[Any]):
    """The user's second factors, oldest first, and how many recovery codes are left."""

    factors = FactorOutput(many=True)
    recoveryCodesLeft = serializers.IntegerField()  # noqa: N815


@with_example(
    id=_FACTOR_ID, secret="JBSWY3DPEHPK3PXP…", uri="otpauth://totp/…", qrCode="data:image/svg+xml;charset=utf-8,…"  # noqa: S106
)  # fmt: skip
class AuthenticatorOutput(serializers.Serializer[Any]):
    """What an authenticator app needs. `qrCode` is an image as a data URI."""

    id = serializers.UUIDField()
    secret = serializers.CharField()
    uri = serializers.CharField()
    qrCode = serializers.CharField()  # noqa: N815


@with_example(recoveryCodes=_RECOVERY_CODES)
class RecoveryCodesOutput(serializers.Serializer[Any]):
    """Ten recovery codes, which are shown once."""

    recoveryCodes = serializers.ListField(child=serializers.CharField())  # noqa: N815


@with_example(**_FACTOR, recoveryCodes=_RECOVERY_CODES)
class EnrolledOutput(FactorOutput):
    """A factor that was added. With the user's first factor come recovery codes, which are shown once."""

    recoveryCodes = serializers.ListField(child=serializers.CharField(), required=False)  # noqa: N815


@with_example(challenge="RY983iq1…", rpId="auth.example.com", userVerification="required", timeout=300000)
class PasskeyOptionsOutput(serializers.Serializer[Any]):
    """Options for `navigator.credentials`, in the JSON form of WebAuthn Level 3.

    Pages pass them to `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    """

    challenge = serializers.CharField()


def presented_factor(fields: dict[str, Any]) -> PresentedFactor:
    """Return the second factor in the fields of a validated body."""
    return PresentedFactor(fields.get("code"), fields.get("recoveryCode"), fields.get("passkey"))


def factor(row: Factor) -> dict[str, Any]:
    """Serialize a factor as `FactorOutput`."""
    return {
        "id": row.id,
        "type": row.type,
        "name": row.name,
        "createdAt": row.created_at,
        "lastUsedAt": row.last_used_at,
        "synced": row.is_synced,
    }


def factors(rows: Sequence[Factor], recovery_codes_left: int) -> dict[str, Any]:
    """Serialize a user's factors as `FactorsOutput`."""
    return {"factors": [factor(row) for row in rows], "recoveryCodesLeft": recovery_codes_left}


def enrolled(added: Enrolled) -> dict[str, Any]:
    """Serialize an added factor as `EnrolledOutput`."""
    codes = {"recoveryCodes": list(added.recovery_codes)} if added.recovery_codes else {}
    return {**factor(added.factor), **codes}
