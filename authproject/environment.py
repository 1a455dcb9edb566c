"""Reads the environment into typed values; says plainly what is wrong with one."""

import dataclasses
import ipaddress
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import environs
from django.conf.global_settings import LANGUAGES
from django.core.exceptions import ImproperlyConfigured

from accounts.conf import AuthSettings, Limit, describe_invalid_setting, environment_name
from accounts.keys.private_files import read_or_create


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
    """Read every setting of `AuthSettings` that the environment names; `defaults` stand for the others.

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
    """Read a whole number within bounds.

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
    """Read an address that may hold a password, which no message repeats; `key` of it is one of `values`.

    Raises ImproperlyConfigured.
    """
    try:
        parts = read()
    except Exception:  # noqa: BLE001  the parsers behind it raise what they like, and quote the address
        parts = {}
    if parts.get(key) not in values:
        raise ImproperlyConfigured(f"{name} cannot be used. Allowed: {allowed}.")
    return parts


def read_flag(env: environs.Env, name: str, *, default: bool) -> bool:
    """Read a switch.

    Raises ImproperlyConfigured.
    """
    try:
        return env.bool(name, default)
    except environs.EnvError:
        raise ImproperlyConfigured(f"{name} is {env.str(name)!r}. Allowed: true or false.") from None


def read_list(env: environs.Env, name: str, default: str = "") -> list[str]:
    """Read a comma-separated list."""
    return [item.strip() for item in env.str(name, default).split(",") if item.strip()]


def read_secret(env: environs.Env, name: str) -> str:
    """Read a text that no message may repeat; empty where it is not set.

    Raises ImproperlyConfigured.
    """
    try:
        return env.str(name, "")
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from None


def read_hosts(env: environs.Env, name: str, default: str) -> list[str]:
    """Read the names that Django compares the Host header with.

    Raises ImproperlyConfigured.
    """
    hosts = read_list(env, name, default)
    for host in hosts:
        if re.fullmatch(r"\*|\.?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", host) is None:
            allowed = "a comma-separated list of host names and addresses, such as auth.example.com"
            raise ImproperlyConfigured(f"{name} holds {host!r}. Allowed: {allowed} (no scheme, no port).")
    return hosts


def read_address(env: environs.Env, name: str, default: str) -> str:
    """Read the IP address to listen on.

    Raises ImproperlyConfigured.
    """
    text = env.str(name, default)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {text!r}. Allowed: an IP address, such as 0.0.0.0.") from None


def read_endpoint(env: environs.Env, name: str) -> tuple[str, int] | None:
    """Read the IP address and port of something that need not be there.

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
    """Read the code of a language that Django knows.

    Raises ImproperlyConfigured.
    """
    text = env.str(name, default)
    known = [code for code, _ in LANGUAGES]
    if text not in known:
        raise ImproperlyConfigured(f"{name} is {text!r}. Allowed: {', '.join(known)}.")
    return text


def read_cache_url(env: environs.Env, name: str) -> str:
    """Read the address of a Redis or Valkey, which may hold a password; empty where it is not set.

    Raises ImproperlyConfigured.
    """
    text = read_secret(env, name)
    # The two speak one protocol, and one client library speaks to both.
    url = re.sub(r"^valkey(s?):", lambda found: f"redi{'ss' if found[1] else 's'}:", text)
    if url and re.fullmatch(r"rediss?://[^/\s]+(:\d+)?(/\d*)?", url) is None:
        raise ImproperlyConfigured(f"{name} cannot be used. Allowed: redis://HOST:PORT/0, rediss:// or valkey://.")
    return url


def load_or_create_secret(name: str, path: Path) -> str:
    """Return the secret that was made and kept on first start.

    Raises ImproperlyConfigured where it can neither be read nor kept.
    """
    try:
        return read_or_create(path, lambda: secrets.token_urlsafe(64).encode()).decode()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} is not set, and none can be kept in {path}: {error.strerror}"
        ) from None
