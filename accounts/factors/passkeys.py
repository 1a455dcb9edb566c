"""Register passkeys and verify their assertions (WebAuthn Level 3), in the JSON form of browsers.

User verification (a fingerprint, a face or a PIN) is always required and checked, so that a passkey is two factors
in itself: the device, and what unlocks it. Attestation is not requested.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from django.utils.crypto import salted_hmac
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.factors import challenges, passkey_keys, relying_party
from accounts.models import MAX_CREDENTIAL_ID_LENGTH, Passkey, User
from accounts.tokens import strict_json
from accounts.values.authentication import (
    DEVICE_BOUND_KEY_METHOD,
    SEVERAL_FACTORS_METHOD,
    SYNCED_KEY_METHOD,
    USER_VERIFIED_METHOD,
    Authentication,
)

COUNTER = "counter"
"""The reason of a refusal of which the owner is notified: the sign counter did not increase."""

_TRANSPORTS = ("usb", "nfc", "ble", "smart-card", "hybrid", "internal")
_CREDENTIAL_ID_LENGTHS = range(16, MAX_CREDENTIAL_ID_LENGTH + 1)
"""Bytes (WebAuthn Level 3 section 4): a shorter id can be guessed, or be the id of another passkey."""

_MALFORMED = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, NotImplementedError,
    RecursionError, AssertionError, struct.error, UnsupportedAlgorithm,
)  # fmt: skip
"""What the library raises for data that no browser produces, and for a response that fails a check."""


class PasskeyRefused(Exception):
    """A registration or an assertion was refused. The reason is for the log, and not for the client."""

    def __init__(self, reason: str, passkey: Passkey | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passkey = passkey


class Assertion(NamedTuple):
    """A verified assertion: the passkey that made it, and the authentication that it is."""

    passkey: Passkey
    authentication: Authentication


def creation_options(user: User, binding: str, at: datetime) -> dict[str, Any]:
    """Return the options to register a passkey: PublicKeyCredentialCreationOptionsJSON."""
    handle = _user_handle(user)
    options, _ = relying_party.server().register_begin(
        PublicKeyCredentialUserEntity(id=handle, name=user.username, display_name=user.fullname or user.username),
        credentials=_descriptors(Passkey.objects.filter(owner=user)),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=challenges.issue(_with_handle(binding, handle), at),
    )
    return _as_json(options.public_key)


def request_options(user: User | None, binding: str, at: datetime) -> dict[str, Any]:
    """Return the options to use a passkey: PublicKeyCredentialRequestOptionsJSON.

    Without a user, the browser offers the discoverable passkeys of this service.
    """
    options, _ = relying_party.server().authenticate_begin(
        credentials=None if user is None else _descriptors(Passkey.objects.filter(owner=user)),
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=challenges.issue(binding, at),
    )
    return _as_json(options.public_key)


def register(user: User, name: str, response: Mapping[str, Any], binding: str, at: datetime) -> Passkey:
    """Verify the RegistrationResponseJSON of a browser, and return the passkey, which the caller saves.

    Raises PasskeyRefused.
    """
    handle = _user_handle(user)
    challenge = _valid_challenge(response, _with_handle(binding, handle), at)
    try:
        verified = relying_party.server().register_complete(
            _state(challenge), RegistrationResponse.from_dict(response)
        )
        passkey = _build_passkey(user, verified, response, at)
    except _MALFORMED as error:
        raise PasskeyRefused(_reason(error)) from None
    _use(challenge)
    passkey.name, passkey.user_handle = name, handle
    return passkey


def authenticate(response: Mapping[str, Any], owner: User | None, binding: str, at: datetime) -> Assertion:
    """Verify the AuthenticationResponseJSON of a browser, and record the use of the passkey.

    `owner` is the user whose passkey it must be, or None to accept one of any user.

    Raises PasskeyRefused.
    """
    challenge = _valid_challenge(response, binding, at)
    try:
        assertion = AuthenticationResponse.from_dict(response)
        passkey = _find(assertion, owner)
        relying_party.server().authenticate_complete(_state(challenge), [_credential_data(passkey)], assertion)
        data = assertion.response.authenticator_data
    except _MALFORMED as error:
        raise PasskeyRefused(_reason(error)) from None
    is_synced, is_backed_up = _backup_state(data)
    if is_synced != passkey.is_synced:
        # The methods of a token depend on it, and it never changes (WebAuthn Level 3 section 7.2).
        raise PasskeyRefused("backup_state", passkey)
    _use(challenge, passkey)
    if not Passkey.objects.record_use(passkey, data.counter, is_backed_up=is_backed_up, at=at):
        raise PasskeyRefused(COUNTER, passkey)
    return Assertion(passkey, authentication_by(passkey))


def authentication_by(passkey: Passkey) -> Authentication:
    """Return the authentication that a use of the passkey is: two factors, because the user is verified."""
    key = SYNCED_KEY_METHOD if passkey.is_synced else DEVICE_BOUND_KEY_METHOD
    return Authentication.of({key, USER_VERIFIED_METHOD, SEVERAL_FACTORS_METHOD})


def _user_handle(user: User) -> bytes:
    """Return the id by which authenticators know the account, the same for all passkeys of a user.

    It contains nothing about the user (WebAuthn Level 3 section 14.6.1). It is derived once, from SECRET_KEY, and
    then stored with each passkey, so that it does not change with the key.
    """
    stored = Passkey.objects.filter(owner=user).values_list("user_handle", flat=True).first()
    if stored is not None:
        return bytes(stored)
    return salted_hmac("accounts.user_handles", str(user.pk), algorithm="sha256").digest()


def _with_handle(binding: str, handle: bytes) -> str:
    # If SECRET_KEY is replaced between the options and the registration, the challenge is refused. Otherwise the
    # stored handle would not be the one that the authenticator knows.
    return f"{binding} {handle.hex()}"


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(json.dumps(dict(options), default=dict))
    return parsed


def _descriptors(passkeys: Iterable[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            type=PublicKeyCredentialType.PUBLIC_KEY,
            id=bytes(passkey.credential_id),
            transports=[AuthenticatorTransport(name) for name in passkey.transports.split(",") if name] or None,
        )
        for passkey in passkeys
    ]


def _valid_challenge(response: Mapping[str, Any], binding: str, at: datetime) -> bytes:
    """Return the challenge that a response answers.

    Raises PasskeyRefused unless it was issued for `binding` and has not expired.
    """
    try:
        # Strictly: a repeated name could have another value for the library, which parses the same text.
        client_data = strict_json.loads(_decode(response["response"]["clientDataJSON"]).decode())
        challenge = _decode(client_data["challenge"])
        is_embedded = client_data.get("crossOrigin", False) is not False or "topOrigin" in client_data
    except _MALFORMED:
        raise PasskeyRefused("malformed") from None
    if not challenges.is_valid(challenge, binding, at):
        raise PasskeyRefused("challenge")
    if is_embedded:
        # A page of another origin that shows ours in a frame could mislead the user about what they confirm.
        raise PasskeyRefused("origin")
    return challenge


def _use(challenge: bytes, passkey: Passkey | None = None) -> None:
    if not challenges.use(challenge):
        raise PasskeyRefused("challenge", passkey)


def _state(challenge: bytes) -> dict[str, Any]:
    """Return the state that the library compares a response with. It is derived, so that none must be stored."""
    return {"challenge": websafe_encode(challenge), "user_verification": UserVerificationRequirement.REQUIRED}


def _find(assertion: AuthenticationResponse, owner: User | None) -> Passkey:
    passkeys = Passkey.objects.select_related("owner").filter(credential_id=assertion.raw_id)
    passkey = (passkeys if owner is None else passkeys.filter(owner=owner)).first()
    if passkey is None:
        raise PasskeyRefused("unknown")
    handle = assertion.response.user_handle
    # Without a user name, the authenticator must say whose passkey it is (WebAuthn Level 3 section 7.2).
    if owner is None and handle is None:
        raise PasskeyRefused("malformed", passkey)
    if handle is not None and handle != bytes(passkey.user_handle):
        raise PasskeyRefused("unknown", passkey)
    return passkey


def _credential_data(passkey: Passkey) -> AttestedCredentialData:
    public_key: Any = CoseKey.parse(cast("Any", cbor.decode(bytes(passkey.public_key))))
    return AttestedCredentialData.create(passkey.aaguid.bytes, bytes(passkey.credential_id), public_key)


def _build_passkey(user: User, verified: AuthenticatorData, response: Mapping[str, Any], at: datetime) -> Passkey:
    credential = verified.credential_data
    if credential is None or len(credential.credential_id) not in _CREDENTIAL_ID_LENGTHS:
        raise PasskeyRefused("malformed")
    is_synced, is_backed_up = _backup_state(verified)
    return Passkey(
        owner=user,
        created_at=at,
        credential_id=credential.credential_id,
        public_key=_encode_key(credential.public_key),
        sign_count=verified.counter,
        aaguid=UUID(bytes=bytes(credential.aaguid)),
        transports=",".join(_known_transports(response)),
        is_synced=is_synced,
        is_backed_up=is_backed_up,
    )


def _encode_key(key: CoseKey) -> bytes:
    try:
        return passkey_keys.encode(key)
    except _MALFORMED:
        raise PasskeyRefused("algorithm") from None


def _backup_state(data: AuthenticatorData) -> tuple[bool, bool]:
    """Return whether a passkey can be copied to other devices, and whether it was.

    Raises PasskeyRefused if it was but cannot be (WebAuthn Level 3 section 6.1.3).
    """
    is_synced = bool(data.flags & AuthenticatorData.FLAG.BE)
    is_backed_up = bool(data.flags & AuthenticatorData.FLAG.BS)
    if is_backed_up and not is_synced:
        raise PasskeyRefused("backup_state")
    return is_synced, is_backed_up


def _known_transports(response: Mapping[str, Any]) -> list[str]:
    given = response["response"].get("transports")
    return [name for name in _TRANSPORTS if isinstance(given, list) and name in given]


def _decode(text: str) -> bytes:
    return websafe_decode(text)


def _reason(error: Exception) -> str:
    """Return the reason for which the library refuses a response, in one word for the log."""
    message = str(error)
    reasons = {
        "origin": "origin",
        "RP ID": "relying_party",
        "verif": "user_verification",
        "signature": "signature",
    }
    return next((reason for part, reason in reasons.items() if part in message), "malformed")
