"""Compare redirect URIs with the registered ones: byte for byte, except for ports of loopback addresses."""

import re
from collections.abc import Collection

# An application on a user's own machine listens on any free port (RFC 8252 section 7.3). Only IP addresses: the
# name localhost may lead elsewhere (section 8.3).
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?((?:[/?].*)?)", re.ASCII)


def is_registered(redirect_uri: str, registered: Collection[str]) -> bool:
    """Return whether the address is one of the registered ones (RFC 9700 section 2.1, RFC 8252 section 7.3)."""
    if redirect_uri in registered:
        return True
    without_port = _without_loopback_port(redirect_uri)
    return without_port is not None and without_port in map(_without_loopback_port, registered)


def _without_loopback_port(uri: str) -> str | None:
    match = _LOOPBACK.fullmatch(uri)
    return match[1] + match[2] if match else None
