"""Where a request comes from, as far as a user's account remembers it."""

from typing import NamedTuple

from accounts.limits import attempts
from accounts.values import devices
from accounts.values.clients import Client


class OriginDigests(NamedTuple):
    """A network and a device, as digests: neither can be read where they are kept."""

    network: str
    device: str


def digest_origin(client: Client) -> OriginDigests:
    """Name the network and the device of a client.

    A device is a browser or app and a system in a neighbourhood of the network: what it calls itself is no secret,
    and whoever has stolen a password can call itself the same.
    """
    device = (devices.describe(client.user_agent), client.wider_network)
    return OriginDigests(
        attempts.keyed_digest("network", client.network), attempts.keyed_digest("device", *device)
    )
