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
        return cls(_address(environ.get("REMOTE_ADDR")), _user_agent(environ.get("HTTP_USER_AGENT")))

    @property
    def network(self) -> str:
        """The address as limits count it: for IPv6 the /64, which one household or server has to itself."""
        return self._network(32, 64).removesuffix("/32")

    @property
    def wider_network(self) -> str:
        """The surroundings of the address, in which a provider gives one household now this address, now that."""
        return self._network(16, 32)

    def _network(self, prefix: int, prefix_v6: int) -> str:
        if self.address is None:
            return "unknown"
        length = prefix_v6 if ":" in self.address else prefix
        return str(ipaddress.ip_network((self.address, length), strict=False))


NO_CLIENT = Client(None, "")
"""For what is done on the command line."""


def _address(text: str | None) -> str | None:
    try:
        address = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # A scope names an interface of this machine, and PostgreSQL's inet has no place for it.
        return str(address.ipv4_mapped or ipaddress.IPv6Address(int(address)))
    return str(address)


def _user_agent(text: str | None) -> str:
    printable = (char for char in text or "" if unicodedata.category(char)[0] != "C")
    return "".join(printable)[:USER_AGENT_LENGTH]
