"""Parse environment variables into typed values, with errors that say what is wrong and what is allowed."""

import dataclasses
import ipaddress
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environs
from django.conf.global_settings import LANGUAGES
from django.core.exceptions import ImproperlyConfigured

from accounts.conf import AuthSettings, Limit
from accounts.keys.private_files import read_or_create
from accounts.setting_values import describe_invalid_setting, environment_name
from accounts.values.origins import serialize_origin


def _limit(env: environs.Env, name: str) -> Limit | None:
    text = env.str(name).strip()
    return Limit.parse(text) if text else None


def _seconds(env: environs.Env, name: str) -> timedelta:
    return timedelta(seconds=env.int(name))


READERS: Mapping[Any, Callable[[environs.Env, str], Any]] = {
    bool: lambda env, name: env.bool(name),
    int: lambda env, name: env.int(name),
    str: lambda env, name: env.str(name).strip(),
    Path: lambda env, name: env.path(name),
    timedelta: _seconds,
    tuple[str, ...]: lambda env, name: tuple(read_list(env, name)),
    Limit | None: _limit,
}


def read_auth_settings(env: environs.Env, **defaults: Any) -> dict[str, Any]:
    """Return all settings of `AuthSettings`: from the environment, else from `defaults`, else their own default.

    Raises ImproperlyConfigured, naming the setting, the value and what is allowed.
    """
    values = dict(defaults)
    for field in dataclasses.fields(AuthSettings):
        name = environment_name(field)
        raw = env.str(name, None)
        if raw is None or (raw == "" and field.type != Limit | None):
            continue
        try:
            values[field.name] = READERS[field.type](env, name)
        except (environs.EnvError, ValueError, OverflowError):
            raise ImproperlyConfigured(describe_invalid_setting(field, raw)) from None
    return dataclasses.asdict(AuthSettings(**values))


def read_number(env: environs.Env, name: str, default: int, *, lowest: int, highest: int) -> int:
    """Parse a whole number from `lowest` to `highest`.

    Raises ImproperlyConfigured.
    """
    try:
        return env.int(name, default, validate=environs.validate.Range(lowest, highest))
    except environs.EnvError:
        allowed = f"a whole number from {lowest} to {highest}"
        raise ImproperlyConfigured(f"{name} is {env.str(name)!r}. Allowed: {allowed}.") from None


def read_url(
    read: Callable[[], dict[str, Any]], name: str, *, key: str, values: Collection[str], allowed: str
) -> dict[str, Any]:
    """Parse a URL that may contain a password.

    `read` parses it; `key` of the result must be one of `values`; `allowed` describes valid URLs.

    Raises ImproperlyConfigured, without repeating the URL.
    """
    try:
        parts = read()
    except Exception:  # noqa: BLE001  the parsers raise any exception, and quote the URL
        parts = {}
    if parts.get(key) not in values:
        raise ImproperlyConfigured(f"{name} cannot be used. Allowed: {allowed}.")
    return parts


def read_flag(env: environs.Env, name: str, *, default: bool) -> bool:
    """Parse true or false.

    Raises ImproperlyConfigured.
    """
    try:
        return env.bool(name, default)
    except environs.EnvError:
        raise ImproperlyConfigured(f"{name} is {env.str(name)!r}. Allowed: true or false.") from None


def read_list(env: environs.Env, name: str, default: str = "") -> list[str]:
    """Parse a comma-separated list."""
    return [item.strip() for item in env.str(name, default).split(",") if item.strip()]


def read_origins(env: environs.Env, name: str) -> list[str]:
    """Parse a comma-separated list of origins, and write each as browsers do.

    A URL that is no origin is returned unchanged: django-cors-headers refuses it at the start.
    """
    return [_as_browsers_do(origin) for origin in read_list(env, name)]


def _as_browsers_do(origin: str) -> str:
    try:
        return origin if urlsplit(origin).path else serialize_origin(origin)
    except ValueError:
        return origin


def read_secret(env: environs.Env, name: str) -> str:
    """Return a secret, or the empty string if it is not set.

    Raises ImproperlyConfigured, without repeating the value.
    """
    try:
        return env.str(name, "")
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from None


def read_hosts(env: environs.Env, name: str, default: str) -> list[str]:
    """Parse host names for ALLOWED_HOSTS.

    Raises ImproperlyConfigured.
    """
    hosts = read_list(env, name, default)
    for host in hosts:
        if re.fullmatch(r"\*|\.?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", host) is None:
            allowed = "a comma-separated list of host names and addresses, such as auth.example.com"
            raise ImproperlyConfigured(f"{name} holds {host!r}. Allowed: {allowed} (no scheme, no port).")
    return hosts


def read_address(env: environs.Env, name: str, default: str) -> str:
    """Parse an IP address.

    Raises ImproperlyConfigured.
    """
    text = env.str(name, default)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {text!r}. Allowed: an IP address, such as 0.0.0.0.") from None


def read_endpoint(env: environs.Env, name: str) -> tuple[str, int] | None:
    """Parse an optional IP address and port; return None if it is empty.

    Raises ImproperlyConfigured.
    """
    text = env.str(name, "")
    if not text:
        return None
    address, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(address.strip("[]"))), _port(port)
    except ValueError:
        allowed = "empty, or an IP address and a port, such as 127.0.0.1:9464"
        raise ImproperlyConfigured(f"{name} is {text!r}. Allowed: {allowed}.") from None


def _port(text: str) -> int:
    port = int(text)
    if port not in range(1, 65536):
        raise ValueError
    return port


def read_language(env: environs.Env, name: str, default: str) -> str:
    """Parse the code of a language that Django supports.

    Raises ImproperlyConfigured.
    """
    text = env.str(name, default)
    known = [code for code, _ in LANGUAGES]
    if text not in known:
        raise ImproperlyConfigured(f"{name} is {text!r}. Allowed: {', '.join(known)}.")
    return text


def read_cache_url(env: environs.Env, name: str) -> str:
    """Parse the URL of a Redis or Valkey server; return the empty string if it is not set.

    Raises ImproperlyConfigured, without repeating the URL, which may contain a password.
    """
    text = read_secret(env, name)
    # Valkey uses Redis's protocol and client library.
    url = re.sub(r"^valkey(s?):", lambda found: f"redi{'ss' if found[1] else 's'}:", text)
    if url and re.fullmatch(r"rediss?://[^/\s]+(:\d+)?(/\d*)?", url) is None:
        raise ImproperlyConfigured(f"{name} cannot be used. Allowed: redis://HOST:PORT/0, rediss:// or valkey://.")
    return url


def load_or_create_secret(name: str, path: Path) -> str:
    """Return the secret stored at `path`, creating it on the first start.

    Raises ImproperlyConfigured if the file can be neither read nor written.
    """
    try:
        return read_or_create(path, lambda: secrets.token_urlsafe(64).encode()).decode()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} is not set, and {path} cannot be read or written: {error.strerror}"
        ) from None
