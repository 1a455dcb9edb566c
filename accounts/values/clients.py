"""Who is at the other end: the address and device that a session or an event is recorded with."""

import ipaddress
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

USER_AGENT_LENGTH = 255


class Client(NamedTuple):
    """An IP address, where it is known, and what the device calls itself (nobody vouches for that)."""

    address: str | None
    user_agent: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> Self:
        """Read a CGI or WSGI environment (RFC 3875 section 4.1): REMOTE_ADDR and HTTP_USER_AGENT."""
        return cls(
            _parse_ip_address(environ.get("REMOTE_ADDR")), _clean_user_agent(environ.get("HTTP_USER_AGENT"))
        )

    @property
    def network(self) -> str:
        """The address as limits count it: for IPv6 the /64, which one household or server has to itself."""
        return self._network(32, 64).removesuffix("/32")

    @property
    def wider_network(self) -> str:
        """The surroundings of the address, in which a provider gives one household now this address, now that."""
        return self._network(16, 32)

    def _network(self, ipv4_prefix: int, ipv6_prefix: int) -> str:
        if self.address is None:
            return "unknown"
        length = ipv6_prefix if ":" in self.address else ipv4_prefix
        return str(ipaddress.ip_network((self.address, length), strict=False))


NO_CLIENT = Client(None, "")
"""For what is done on the command line."""


def _parse_ip_address(text: str | None) -> str | None:
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # A scope names an interface of this machine, and PostgreSQL's inet has no place for it.
        return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address)))
    return str(address)


def _clean_user_agent(text: str | None) -> str:
    printable = (char for char in text or "" if unicodedata.category(char)[0] != "C")
    return "".join(printable)[:USER_AGENT_LENGTH]
