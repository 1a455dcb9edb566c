"""Determine the client's address and scheme behind trusted proxies."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

UNIX_SOCKET = "unix:"
"""The address of the peer of a Unix socket, as nginx writes it."""


def trust_proxies(application: Application, proxies: Sequence[str]) -> Application:
    """Wrap a WSGI application so that REMOTE_ADDR and the scheme are those that the outermost trusted proxy saw.

    `proxies` are IP addresses and networks, and `unix:` for whoever connects to a Unix socket. X-Forwarded-For and
    X-Forwarded-Proto of anyone else are ignored.
    """
    trusted = _Trusted(proxies)

    def forwarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # Servers name the peer of a Unix socket in two ways: with nothing, or as nginx does.
        environ["REMOTE_ADDR"] = environ.get("REMOTE_ADDR") or UNIX_SOCKET
        if environ["REMOTE_ADDR"] in trusted:
            environ["REMOTE_ADDR"] = _client(environ, trusted)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "")
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme
        return application(environ, start_response)

    return forwarded if proxies else application


class _Trusted:
    """The addresses of trusted proxies."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._has_unix_socket = UNIX_SOCKET in proxies
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies if proxy != UNIX_SOCKET]

    def __contains__(self, text: str) -> bool:
        if text == UNIX_SOCKET:
            return self._has_unix_socket
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _client(environ: dict[str, Any], trusted: _Trusted) -> str:
    """Return the last address that is not a trusted proxy's, or the nearest proxy's if the header is malformed."""
    nearest: str = environ["REMOTE_ADDR"]
    for part in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = _without_port(part.strip())
        if address != UNIX_SOCKET and _parse(address) is None:
            return nearest
        nearest = address
        if address not in trusted:
            return nearest
    return nearest


def _without_port(text: str) -> str:
    """Remove the port that some proxies add: 192.0.2.1:4711 or [2001:db8::1]:4711."""
    if text == UNIX_SOCKET:
        return text
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
