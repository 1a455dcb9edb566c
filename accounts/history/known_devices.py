"""Identify the network and device of a request, to recognize known ones."""

from typing import NamedTuple

from django.conf import settings

from accounts.limits import attempts
from accounts.values import devices
from accounts.values.clients import Client


class OriginDigests(NamedTuple):
    """Keyed digests of a network and a device, so that the database does not reveal them."""

    network: str
    device: str


def accepted_origins(client: Client) -> list[OriginDigests]:
    """Return the digests that identify a client: those under SECRET_KEY first, then those under each fallback."""
    return [digest_origin(client, key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def digest_origin(client: Client, server_key: str | None = None) -> OriginDigests:
    """Return the digests of a client's network and device under `server_key`, by default SECRET_KEY.

    A device is a browser or app on an operating system within a wider network (/16, IPv6 /32). The network is
    included because a thief can send the same User-Agent.
    """
    device = (devices.describe(client.user_agent), client.wider_network)
    return OriginDigests(
        attempts.keyed_digest("network", client.network, server_key=server_key),
        attempts.keyed_digest("device", *device, server_key=server_key),
    )
