"""Parse environment variables into typed values, with errors that say what is wrong and what is allowed."""

import dataclasses
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
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

MIN_SECRET_KEY_LENGTH = 16
"""A shorter key is refused. Django's check security.W009 warns of keys with less than 50 characters."""
MAX_SOCKET_PATH = 107
"""The length of the longest path of a Unix socket, in bytes: `sun_path` of Linux, without the final zero."""


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


def find_unknown_settings(names: Iterable[str], others: Collection[str]) -> dict[str, str]:
    """Return the names that begin with AUTH_ and that nothing reads, each with the most similar setting, or "".

    `others` are the settings besides those of `AuthSettings`.
    """
    known = {*map(environment_name, dataclasses.fields(AuthSettings)), *others}
    unknown = [name for name in names if name.startswith("AUTH_") and name.removesuffix("_FILE") not in known]
    return {name: next(iter(get_close_matches(name, known, n=1)), "") for name in sorted(unknown)}


def read_number(env: environs.Env, name: str, default: int, *, lowest: int, highest: int) -> int:
    """Parse a whole number from `lowest` to `highest`.

    Raises ImproperlyConfigured.
    """
    try:
        return env.int(name, default, validate=environs.validate.Range(lowest, highest))
    except environs.EnvError:
        allowed = f"a whole number from {lowest} to {highest}"
        raise ImproperlyConfigured(f"{name} is {env.str(name)!r}. Allowed: {allowed}.") from None


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
    """Parse the origins of web pages, such as https://app.example.com, and write each as browsers do.

    Raises ImproperlyConfigured, without repeating a password. `null` is refused, because any page can have that
    origin, and so is `*`, because the API accepts cookies.
    """
    origins = [_as_browsers_do(origin) for origin in read_list(env, name)]
    for origin in origins:
        if re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[1-9]\d{0,4})?", origin) is None:
            shown = re.sub(r"//.*@", "//***@", origin)
            allowed = "a comma-separated list of origins, such as https://app.example.com"
            raise ImproperlyConfigured(f"{name} contains {shown!r}. Allowed: {allowed} (no path, no null, no *).")
    return origins


def _as_browsers_do(origin: str) -> str:
    try:
        is_origin = re.search(r"[@?#]", origin) is None and not urlsplit(origin).path
        return serialize_origin(origin) if is_origin else origin
    except ValueError:
        return origin


def read_secret_key(env: environs.Env, name: str) -> str:
    """Return a key to sign with, or the empty string if it is not set.

    Raises ImproperlyConfigured, without repeating the value, if the key can be guessed.
    """
    key: str = env.str(name, "")
    if key:
        _refuse_short_key(key, name)
    return key


def read_secret_keys(env: environs.Env, name: str) -> list[str]:
    """Return the comma-separated keys under which former signatures are accepted.

    Raises ImproperlyConfigured, without repeating the value, if one of them can be guessed.
    """
    keys = [key for part in env.str(name, "").split(",") if (key := part.strip())]
    for number, key in enumerate(keys, 1):
        _refuse_short_key(key, f"{name}, key {number} of {len(keys)},")
    return keys


def _refuse_short_key(key: str, name: str) -> None:
    if len(key) < MIN_SECRET_KEY_LENGTH:
        allowed = f"at least {MIN_SECRET_KEY_LENGTH} random characters, such as from `openssl rand -base64 48`"
        raise ImproperlyConfigured(f"{name} has {len(key)} characters and can be guessed. Allowed: {allowed}.")


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
    """Parse an IP address, or the path of a Unix socket: `unix:/PATH`.

    Raises ImproperlyConfigured.
    """
    text = env.str(name, default)
    if re.fullmatch(r"unix:/.+", text) and len(os.fsencode(text.removeprefix("unix:"))) <= MAX_SOCKET_PATH:
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        allowed = f"an IP address, such as 0.0.0.0, or unix:/PATH with a PATH of at most {MAX_SOCKET_PATH} bytes"
        raise ImproperlyConfigured(f"{name} is {text!r}. Allowed: {allowed}.") from None


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


def refuse_debug_in_public(debug: bool, public_url: str) -> None:  # noqa: FBT001  a setting, not a mode
    """Refuse error pages with stack traces and settings where other people can reach the service.

    Raises ImproperlyConfigured.
    """
    if debug and public_url.lower().startswith("https:"):
        raise ImproperlyConfigured("DEBUG is 'true'. Allowed: false, because PUBLIC_URL begins with https.")


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
