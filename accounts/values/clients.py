"""The client of a request: the IP address and user agent recorded with sessions and events."""

import ipaddress
import socket
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

USER_AGENT_LENGTH = 255


class Client(NamedTuple):
    """The IP address of a client, or None if unknown, and its user agent, which anyone can forge."""

    address: str | None
    user_agent: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> Self:
        """Read REMOTE_ADDR and HTTP_USER_AGENT from a CGI or WSGI environment (RFC 3875 section 4.1)."""
        address = _parse_ip_address(environ.get("REMOTE_ADDR"))
        return cls(address, _clean_user_agent(environ.get("HTTP_USER_AGENT")))

    @property
    def network(self) -> str:
        """The network that rate limits count: the IPv4 address, or the IPv6 /64, which one household shares."""
        if self._has_ipv4_address:
            return str(self.address)
        return self._ipv6_network(64)

    @property
    def wider_network(self) -> str:
        """The IPv4 /16 or IPv6 /32, in which a provider moves a household from address to address."""
        if self._has_ipv4_address:
            # `ipaddress` takes eight times as long.
            first, second, *_ = str(self.address).split(".")
            return f"{first}.{second}.0.0/16"
        return self._ipv6_network(32)

    @property
    def _has_ipv4_address(self) -> bool:
        return self.address is not None and ":" not in self.address

    def _ipv6_network(self, prefix: int) -> str:
        if self.address is None:
            return "unknown"
        return str(ipaddress.ip_network((self.address, prefix), strict=False))


NO_CLIENT = Client(None, "")
"""The client of management commands."""


def _parse_ip_address(text: str | None) -> str | None:
    if text is None or _is_ipv4(text):
        return text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # Drop the scope id: it names a network interface of this machine, and PostgreSQL's inet type rejects it.
        return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address)))
    return str(address)


def _is_ipv4(text: str) -> bool:
    """Return whether the text is an IPv4 address, which has only one form in dotted decimal.

    `ipaddress` takes 15 times as long to find out.
    """
    try:
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def _clean_user_agent(text: str | None) -> str:
    # Nearly every header is printable. Looking up each category took 5 % of the instructions of a refresh.
    if text is not None and not text.isprintable():
        text = "".join(char for char in text if unicodedata.category(char)[0] != "C")
    return (text or "")[:USER_AGENT_LENGTH]
