"""Where a request comes from, as far as a user's account remembers it."""

from typing import NamedTuple

from accounts.limits import attempts
from accounts.values import devices
from accounts.values.clients import Client


class Origin(NamedTuple):
    """A network and a device, as digests: neither can be read where they are kept."""

    network: str
    device: str


def origin_of(client: Client) -> Origin:
    """Name the network and the device of a client.

    A device is a browser or app and a system in a neighbourhood of the network: what it calls itself is no secret,
    and whoever has stolen a password can call itself the same.
    """
    device = (devices.name_of(client.user_agent), client.neighbourhood)
    return Origin(attempts.digest_of("network", client.network), attempts.digest_of("device", *device))
