"""Which addresses an application may register: for redirects after sign-in and sign-out, and for logout tokens.

Redirect addresses are compared byte for byte (RFC 9700 section 4.1.3). An address that a browser or a library
writes differently would never match, so that only normalized ones are accepted (RFC 3986 section 6.2.2).
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import SplitResult, parse_qsl, urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MAX_LENGTH = 500

_RESPONSE_PARAMETERS = frozenset({"code", "state", "iss", "error", "error_description", "error_uri"})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%]+")  # RFC 3986, without the fragment and wildcards
_BAD_ESCAPE = re.compile(r"%(?![0-9A-F]{2})|%(?:2D|2E|5F|7E|3[0-9]|4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A])")
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?=/|\Z)")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def validate_redirect_uri(address: str) -> None:
    """Check an address to which users return after they signed in or out.

    Raises ValidationError, whose message names the address and what is allowed.
    """
    parts = _validate(address)
    names = {name for name, _value in parse_qsl(parts.query, keep_blank_values=True)}
    if names & _RESPONSE_PARAMETERS:
        raise _invalid(address, _("leave out the parameters that the sign-in adds, such as code and state."))


def validate_backchannel_uri(address: str) -> None:
    """Check an address that receives logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.2).

    Raises ValidationError, whose message names the address and what is allowed.
    """
    _validate(address)


def parse_lines(text: str) -> list[str]:
    """Return the addresses of a text with one a line, without blank lines and repetitions."""
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def validate_redirect_uris(addresses: Iterable[str]) -> None:
    """Check several addresses as `validate_redirect_uri` does.

    Raises ValidationError with a message for each that is wrong.
    """
    errors = list(_errors(addresses))
    if errors:
        raise ValidationError(errors)


def _errors(addresses: Iterable[str]) -> Iterator[ValidationError]:
    for address in addresses:
        try:
            validate_redirect_uri(address)
        except ValidationError as error:
            yield error


def _validate(address: str) -> SplitResult:
    if len(address) > MAX_LENGTH:
        raise _invalid(address[:80] + "…", _("use at most 500 characters."))
    if "#" in address:
        raise _invalid(address, _("leave out the fragment, the part from # on."))
    if "*" in address:
        raise _invalid(address, _("addresses are compared exactly. List each one instead of using *."))
    if not _CHARACTERS.fullmatch(address):
        raise _invalid(address, _("encode characters other than those of a URL, and write the host in ASCII."))
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise _invalid(address, _("this is no address.")) from None
    if "@" in parts.netloc:
        raise _invalid(address, _("leave out the user name and the password."))
    _validate_origin(address, parts, port)
    if _BAD_ESCAPE.search(address) or _DOT_SEGMENT.search(parts.path):
        raise _invalid(
            address, _("write the path without . and .. segments, and escapes as %2F with capital letters.")
        )
    return parts


def _validate_origin(address: str, parts: SplitResult, port: int | None) -> None:
    host = parts.hostname or ""
    if not (address.startswith("https://") or (address.startswith("http://") and is_loopback(host))):
        raise _invalid(address, _("use https, or http on localhost, 127.0.0.1 or [::1]."))
    written = f"[{host}]" if ":" in host else host
    canonical = written if port is None else f"{written}:{port}"
    if not _is_host(host) or parts.netloc != canonical or port in {0, _DEFAULT_PORTS[parts.scheme]}:
        raise _invalid(address, _("write the host in lower case, and leave out the port if it is the default."))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: localhost, or an IP address of the loopback interface."""
    return host in {"localhost", "127.0.0.1", "::1"}


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host)) == host and "%" not in host
        except ValueError:
            return False
    if not _HOST_NAME.fullmatch(host):
        return False
    # A last label of digits is an IPv4 address to browsers, in any of its forms (WHATWG URL section 3.5).
    if host.rpartition(".")[2].isdecimal() or re.search(r"(?:\A|\.)0x[0-9a-f]*\Z", host):
        try:
            return str(ipaddress.IPv4Address(host)) == host
        except ValueError:
            return False
    return True


def _invalid(address: str, advice: object) -> ValidationError:
    return ValidationError("%(address)s: %(advice)s", params={"address": address, "advice": advice})
