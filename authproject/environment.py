"""Reads the environment into typed values; says plainly what is wrong with one."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import environs
from django.core.exceptions import ImproperlyConfigured

from accounts.conf import AuthSettings, Limit, environment_name, wrong_setting


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
            raise ImproperlyConfigured(wrong_setting(field, raw)) from None
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
    """Read a text that no message may repeat; empty where it is not set."""
    return env.str(name, "")
