"""Determine the client's address and scheme behind trusted proxies."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def trust_proxies(application: Application, proxies: Sequence[str]) -> Application:
    """Wrap a WSGI application so that REMOTE_ADDR and the scheme are those that the outermost trusted proxy saw.

    `proxies` are IP addresses and networks. X-Forwarded-For and X-Forwarded-Proto of anyone else are ignored.
    """
    networks = [ipaddress.ip_network(proxy) for proxy in proxies]

    def forwarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if _is_within(environ.get("REMOTE_ADDR", ""), networks):
            environ["REMOTE_ADDR"] = _client(environ, networks)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "")
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme
        return application(environ, start_response)

    return forwarded if networks else application


def _client(environ: dict[str, Any], networks: Sequence[Network]) -> str:
    """Return the last address that is not a trusted proxy's, or the nearest proxy's if the header is malformed."""
    nearest: str = environ["REMOTE_ADDR"]
    for part in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = _without_port(part.strip())
        if _parse(address) is None:
            return nearest
        nearest = address
        if not _is_within(address, networks):
            return nearest
    return nearest


def _without_port(text: str) -> str:
    """Remove the port that some proxies add: 192.0.2.1:4711 or [2001:db8::1]:4711."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_within(text: str, networks: Sequence[Network]) -> bool:
    address = _parse(text)
    return address is not None and any(address in network for network in networks)
