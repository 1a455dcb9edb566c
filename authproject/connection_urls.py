"""Parse the URLs of the database, the mail server and the cache, with errors that repeat no password."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dj_email_url
import environs
from django.core.exceptions import ImproperlyConfigured

DATABASE_PARAMETERS = (
    "application_name", "channel_binding", "gssencmode", "host", "hostaddr", "krbsrvname", "load_balance_hosts",
    "passfile", "port", "require_auth", "requirepeer", "service", "sslcert", "sslcertmode", "sslcrl", "sslcrldir",
    "sslkey", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni", "ssl_max_protocol_version",
    "ssl_min_protocol_version", "target_session_attrs",
)  # fmt: skip
"""The parameters of a PostgreSQL URL: where the server is, and how to trust it. Others could end time limits."""

CACHE_PARAMETERS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""The parameters of a `rediss://` URL: the authorities to trust, and the service's own certificate and key. Others
could end time limits and the verification of certificates."""

_STARTTLS = {"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": False}
_TLS = {"EMAIL_USE_TLS": False, "EMAIL_USE_SSL": True}
# For each scheme: the default port, and how the connection is encrypted.
_EMAIL_SCHEMES: Mapping[str, tuple[int, Mapping[str, bool]]] = {
    "submission": (587, _STARTTLS),
    "smtp+tls": (587, _STARTTLS),
    "smtps": (465, _TLS),
}


def read_url(
    read: Callable[[], dict[str, Any]], name: str, *, key: str, values: Collection[str], allowed: str
) -> dict[str, Any]:
    """Parse a URL that may contain a password.

    `read` parses it; `key` of the result must be one of `values`; `allowed` describes valid URLs.

    Raises ImproperlyConfigured, without repeating the URL.
    """
    try:
        parts = read()
    except ImproperlyConfigured:  # from a file, and without its content
        raise
    except Exception:  # noqa: BLE001  the parsers raise any exception, and quote the URL
        parts = {}
    if parts.get(key) not in values:
        raise ImproperlyConfigured(f"{name} cannot be used. Allowed: {allowed}.")
    return parts


def read_database_url(env: environs.Env, name: str, default: str) -> dict[str, Any]:
    """Parse the URL of the database.

    Raises ImproperlyConfigured, without repeating the URL, which may contain a password.
    """
    database = read_url(
        lambda: env.dj_db_url(name, default),
        name,
        key="ENGINE",
        values=("django.db.backends.sqlite3", "django.db.backends.postgresql"),
        allowed="sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME",
    )
    is_sqlite = database["ENGINE"] == "django.db.backends.sqlite3"
    allowed: Sequence[str] = () if is_sqlite else DATABASE_PARAMETERS
    _refuse_other_parameters(name, database.get("OPTIONS", {}), allowed)
    return database


def read_email_url(env: environs.Env, name: str, default: str) -> dict[str, Any]:
    """Parse the URL of the mail server, with the default port of its scheme.

    Raises ImproperlyConfigured, without repeating the URL, which may contain a password.
    """
    url = env.str(name, "") or default
    return read_url(
        lambda: _parse_email_url(url),
        name,
        key="EMAIL_BACKEND",
        values=("django.core.mail.backends.console.EmailBackend", "django.core.mail.backends.smtp.EmailBackend"),
        allowed="console:, smtp://HOST:PORT, submission://USER:PASSWORD@HOST:PORT (STARTTLS) or smtps:// (TLS)",
    )


def _parse_email_url(url: str) -> dict[str, Any]:
    scheme, _, rest = url.partition("://")
    if rest and (not urlsplit(url).hostname or urlsplit(url).port == 0):
        return {}  # no server, or a port that does not exist
    if scheme not in _EMAIL_SCHEMES:
        return dict(dj_email_url.parse(url))
    port, encryption = _EMAIL_SCHEMES[scheme]
    parts = dict(dj_email_url.parse(f"submission://{rest}"))
    return {**parts, **encryption, "EMAIL_PORT": urlsplit(url).port or port}


def read_cache_url(env: environs.Env, name: str) -> str:
    """Parse the URL of a Redis or Valkey server; return the empty string if it is not set.

    Raises ImproperlyConfigured, without repeating the URL, which may contain a password.
    """
    text = env.str(name, "")
    # Valkey uses Redis's protocol and client library.
    url = re.sub(r"^valkey(s?):", lambda found: f"redi{'ss' if found[1] else 's'}:", text)
    address, _, parameters = url.partition("?")
    is_valid = re.fullmatch(r"rediss?://[^/\s?]+(:\d+)?(/\d*)?", address) and (
        address.startswith("rediss:") or not parameters
    )
    if url and not is_valid:
        raise ImproperlyConfigured(f"{name} cannot be used. Allowed: redis://HOST:PORT/0, rediss:// or valkey://.")
    _refuse_other_parameters(name, dict(parse_qsl(parameters, keep_blank_values=True)), CACHE_PARAMETERS)
    return url


def _refuse_other_parameters(name: str, parameters: Collection[str], allowed: Sequence[str]) -> None:
    refused = sorted(set(parameters).difference(allowed))
    if refused:
        described = ", ".join(allowed) or "no parameters"
        raise ImproperlyConfigured(f"{name} has the parameter {refused[0]!r}. Allowed: {described}.")
