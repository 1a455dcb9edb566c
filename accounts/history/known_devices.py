"""Identify the network and device of a request, to recognize known ones."""

from typing import NamedTuple

from accounts.limits import attempts
from accounts.values import devices
from accounts.values.clients import Client


class OriginDigests(NamedTuple):
    """Keyed digests of a network and a device, so that the database does not reveal them."""

    network: str
    device: str


def digest_origin(client: Client) -> OriginDigests:
    """Return the digests of a client's network and device.

    A device is a browser or app on an operating system within a wider network (/16, IPv6 /32). The network is
    included because a thief can send the same User-Agent.
    """
    device = (devices.describe(client.user_agent), client.wider_network)
    return OriginDigests(
        attempts.keyed_digest("network", client.network), attempts.keyed_digest("device", *device)
    )
