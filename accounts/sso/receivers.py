"""Send a form to an address that an operator registered, without trusting that address or its name.

The registered address, the name server and the receiver may be wrong or hostile. Therefore:

- The name is resolved once, and the connection goes to one of the addresses that were checked (no DNS rebinding).
- Addresses within the organization are refused unless AUTH_INTERNAL_NETWORKS lists their networks.
- Certificates are verified for the registered name. Redirects are not followed, and no proxy is used.
- Everything together has one deadline, and of the response only status and headers are read.

The HTTP client is the standard library's, on a socket that this module opens. Those above it resolve the name
themselves, or leave no way to end a read that receives one byte at a time.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import cache
from http.client import HTTPConnection, HTTPException
from threading import Timer
from urllib.parse import urlencode

from accounts.conf import auth_settings
from accounts.values.receiver_urls import ReceiverUrl

DEADLINE = 5
"""Seconds for everything after the name is resolved: connecting, TLS, sending, and reading status and headers."""

_MAX_ADDRESSES = 3  # of one name that are tried
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Addresses that `is_global` of some Python versions accepts: those of other services in a cloud (192.0.0.192 and
# Azure's wire server), and IPv6 addresses that contain an IPv4 address.
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "168.63.129.16/32", "2002::/16", "2001::/23")
]

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Failure(StrEnum):
    """Why a receiver did not get the form. The values are logged."""

    ADDRESS_INVALID = "address invalid"
    ADDRESS_REFUSED = "address refused"
    NAME_UNKNOWN = "name unknown"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    CONNECTION = "connection"
    RESPONSE = "response"


class ReceiverFailed(Exception):
    """The form was not delivered, or no response says that it was."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


def post(address: str, form: Mapping[str, str]) -> int:
    """Send a form, and return the status of the response, whose body is not read.

    Raises ReceiverFailed.
    """
    try:
        url = ReceiverUrl.parse(address)
    except ValueError:
        raise ReceiverFailed(Failure.ADDRESS_INVALID) from None
    addresses = _resolve(url)
    ends_at = time.monotonic() + DEADLINE
    with _failures(ends_at), _connect(url, addresses, ends_at) as opened, _shut_down_at(ends_at, opened):
        return _exchange(opened, url, form, ends_at)


def is_allowed(address: IpAddress, url: ReceiverUrl) -> bool:
    """Return whether a connection to the URL may go to an address that its name resolves to."""
    if url.is_loopback:
        return address.is_loopback
    networks = map(ipaddress.ip_network, auth_settings().internal_networks)
    return is_public(address) or any(address in network for network in networks)


def is_public(address: IpAddress) -> bool:
    """Return whether an address is one of the public internet, and of one machine."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    is_special = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not is_special


def _resolve(url: ReceiverUrl) -> Sequence[IpAddress]:
    """Resolve the name of a URL, and return the addresses that a connection may go to.

    The operating system limits how long this takes.

    Raises ReceiverFailed if there is none.
    """
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ReceiverFailed(Failure.NAME_UNKNOWN) from None
    resolved = dict.fromkeys(_parse_address(str(entry[4][0])) for entry in found)
    allowed = [address for address in resolved if is_allowed(address, url)]
    if not allowed:
        raise ReceiverFailed(Failure.ADDRESS_REFUSED)
    return allowed[:_MAX_ADDRESSES]


def _parse_address(text: str) -> IpAddress:
    """Return the address. If it is an IPv4 address in the form of an IPv6 address, return the IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _connect(url: ReceiverUrl, addresses: Sequence[IpAddress], ends_at: float) -> socket.socket:
    """Return a connection, with TLS for https, to the first of the addresses that accepts one.

    Raises OSError.
    """
    opened = _connect_to_first(url, addresses, ends_at)
    if url.scheme == "http":
        return opened
    # The limit applies to the handshake as a whole.
    opened.settimeout(_remaining(ends_at))
    try:
        # The certificate is verified for the registered name, although the connection goes to an address.
        return _tls_context().wrap_socket(opened, server_hostname=url.host)
    except BaseException:
        opened.close()
        raise


def _connect_to_first(url: ReceiverUrl, addresses: Sequence[IpAddress], ends_at: float) -> socket.socket:
    *others, last = addresses
    for number, address in enumerate(others):
        # An address that does not respond leaves time for the next ones.
        share = _remaining(ends_at) / (len(addresses) - number)
        try:
            return socket.create_connection((str(address), url.port), share)
        except OSError:
            continue
    return socket.create_connection((str(last), url.port), _remaining(ends_at))


def _remaining(ends_at: float) -> float:
    """Return the seconds until a time of the monotonic clock. Not 0, which would mean not to wait at all."""
    return max(ends_at - time.monotonic(), 0.001)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _exchange(opened: socket.socket, url: ReceiverUrl, form: Mapping[str, str], ends_at: float) -> int:
    connection = HTTPConnection(url.host, url.port)
    connection.sock = opened
    headers = {
        "Host": url.authority,
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "authproject",
        "Connection": "close",
    }
    connection.request("POST", url.target, urlencode(form), headers)
    status = connection.getresponse().status
    if time.monotonic() >= ends_at:
        raise TimeoutError  # the headers may have ended only because the connection was shut down
    return status


@contextmanager
def _shut_down_at(ends_at: float, opened: socket.socket) -> Iterator[None]:
    """Shut a connection down at a time of the monotonic clock.

    A socket's own limit applies to each read: a receiver that sends one byte a second would never exceed it.
    """
    timer = Timer(_remaining(ends_at), _shut_down, [opened])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(opened: socket.socket) -> None:
    with suppress(OSError):  # closed in the meantime
        # Not the method of TLS sockets, which changes the object that another thread is reading from.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


@contextmanager
def _failures(ends_at: float) -> Iterator[None]:
    """Raise ReceiverFailed instead of the exceptions that a connection or a response causes."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        raise ReceiverFailed(_classify(error, ends_at)) from None


def _classify(error: Exception, ends_at: float) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure.CERTIFICATE
    if isinstance(error, TimeoutError) or time.monotonic() >= ends_at:
        return Failure.TIMEOUT
    return Failure.CONNECTION if isinstance(error, OSError) else Failure.RESPONSE
