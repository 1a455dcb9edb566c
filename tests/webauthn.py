"""A passkey authenticator in software: what a browser and its authenticator do with the options of this service."""

import hashlib
import json
import os
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

FLAG = AuthenticatorData.FLAG


class SoftwareAuthenticator:
    """One passkey: a key pair, a credential id and a sign counter. Attributes can be changed to forge responses."""

    def __init__(self, origin: str = "http://localhost:8000", *, is_synced: bool = False) -> None:
        self.origin = origin
        self.cross_origin = False
        self.other_client_data: dict[str, Any] = {}
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = os.urandom(32)
        self.user_handle = b""
        self.counter = 0 if is_synced else 1
        self.flags = FLAG.UP | FLAG.UV | (FLAG.BE | FLAG.BS if is_synced else FLAG(0))

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the RegistrationResponseJSON for PublicKeyCredentialCreationOptionsJSON."""
        self.user_handle = websafe_decode(options["user"]["id"])
        public_key = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(Aaguid.NONE, self.credential_id, public_key)
        data = AuthenticatorData.create(
            hashlib.sha256(options["rp"]["id"].encode()).digest(), self.flags | FLAG.AT, self.counter, credential
        )
        client_data = self._client_data("webauthn.create", options)
        response = {
            "clientDataJSON": websafe_encode(client_data),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
            "transports": ["internal", "hybrid"],
        }
        return self._credential(response)

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the AuthenticationResponseJSON for PublicKeyCredentialRequestOptionsJSON."""
        if self.counter:
            self.counter += 1
        data = AuthenticatorData.create(
            hashlib.sha256(options["rpId"].encode()).digest(), self.flags, self.counter
        )
        client_data = self._client_data("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(signature),
            "userHandle": websafe_encode(self.user_handle),
        }
        return self._credential(response)

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        return CollectedClientData.create(
            kind, options["challenge"], self.origin, self.cross_origin, **self.other_client_data
        )

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        credential_id = websafe_encode(self.credential_id)
        credential = {"id": credential_id, "rawId": credential_id, "type": "public-key", "response": response}
        return json.loads(json.dumps({**credential, "clientExtensionResults": {}}))
