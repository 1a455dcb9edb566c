"""The addresses that applications register to be notified at (OpenID Connect Back-Channel Logout 1.0)."""

import ipaddress
import re
from typing import NamedTuple, Self
from urllib.parse import urlsplit

ALLOWED = (
    "an https:// URL, or an http:// URL of 127.0.0.1, [::1] or localhost; each without a user name, a fragment, "
    "spaces or letters beyond ASCII"
)
"""What `ReceiverUrl.parse` accepts, for the operator."""

_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]+", re.ASCII)
_DEFAULT_PORTS = {"https": 443, "http": 80}


class ReceiverUrl(NamedTuple):
    """The parts of such an address. `target` is the path with the query, as in the request line.

    `is_loopback` says that the host is this machine by its name or address, not by what a name resolves to.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str
    is_loopback: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an address.

        Raises ValueError if it is none of those that `ALLOWED` describes.
        """
        url = urlsplit(text) if _CHARACTERS.fullmatch(text) else None
        if url is None or url.scheme not in _DEFAULT_PORTS or not url.hostname or "@" in url.netloc:
            raise ValueError("not the address of a receiver")
        is_loopback = _is_loopback(url.hostname)
        port = _DEFAULT_PORTS[url.scheme] if url.port is None else url.port
        if port == 0 or (url.scheme == "http" and not is_loopback):
            raise ValueError("not the address of a receiver")
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return cls(url.scheme, url.hostname, port, url.netloc, target, is_loopback)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
