"""The credentials of a client of OAuth 2.0: HTTP Basic, or the body (RFC 6749 section 2.3.1)."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from rest_framework.request import Request

from accounts.errors import InvalidClient


class ClientCredentials(NamedTuple):
    """The id of a client, and the secret that it presents, or None."""

    client_id: str
    secret: str | None

    def __repr__(self) -> str:
        return f"ClientCredentials({self.client_id!r}, ...)"


def read_credentials(request: Request, body: Mapping[str, Any]) -> ClientCredentials:
    """Return the credentials of a request.

    A request with HTTP Basic may repeat the client id in the body, but not present a second secret.

    Raises InvalidClient.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    client_id, secret = body.get("client_id", ""), body.get("client_secret", "")
    if not header:
        return ClientCredentials(client_id, secret or None)
    credentials = _parse_basic(header)
    if secret or client_id not in {"", credentials.client_id}:
        raise InvalidClient
    return credentials


def _parse_basic(header: str) -> ClientCredentials:
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        raise InvalidClient from None
    client_id, _, secret = decoded.partition(":")
    return ClientCredentials(unquote_plus(client_id), unquote_plus(secret) or None)
