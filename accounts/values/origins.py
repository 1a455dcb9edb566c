"""Write the origin of a URL as browsers do, so that it can be compared with the header `Origin`."""

from urllib.parse import urlsplit

from accounts.values.identifiers import domain_to_ascii

_DEFAULT_PORTS = {"http": 80, "https": 443}


def serialize_origin(url: str) -> str:
    """Return the ASCII serialization of the origin of a URL (RFC 6454 section 6.2).

    The host is in lower case and in ASCII, and a default port is left out. A URL without a host is returned
    unchanged.

    Raises ValueError if the URL cannot be parsed.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    host = f"[{parts.hostname}]" if ":" in parts.hostname else domain_to_ascii(parts.hostname) or parts.hostname
    port = "" if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
