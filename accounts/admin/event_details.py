"""The details of a security event in words."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.models import EndReason

_PROFILE = {
    "username": _("username"),
    "fullname": _("full name"),
    "language": _("language"),
    "email": _("email address"),
}


def in_words(details: Mapping[str, Any]) -> str:
    """Return the details of an event as a sentence: "Added moderator. Removed user." Empty without details."""
    shown = {key: value for key, value in details.items() if key != "factor" and value not in ([], "", None)}
    # In the order of the phrases: PostgreSQL does not keep the order of the names in JSON.
    order = [*(key for key in _PHRASES if key in shown), *(key for key in shown if key not in _PHRASES)]
    return " ".join(_phrase(key, shown[key]) for key in order)


def _phrase(key: str, value: Any) -> str:
    phrase = _PHRASES.get(key)
    # The history may contain details of another release.
    return phrase(value) if phrase else f"{key.replace('_', ' ').capitalize()}: {_join(value)}."


def _join(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _end_reason(value: str) -> str:
    reason = gettext(EndReason(value).label) if value in EndReason else value
    return gettext("Reason: {}.").format(reason)


def _changed_names(value: list[str]) -> str:
    return gettext("Changed: {}.").format(", ".join(str(_PROFILE.get(name, name)) for name in value))


_PHRASES: dict[str, Callable[[Any], str]] = {
    "application": lambda client_id: gettext("Application: {}.").format(client_id),
    "reason": _end_reason,
    "names": _changed_names,
    "count": lambda number: ngettext("{} session.", "{} sessions.", number).format(number),
    "roles": lambda names: gettext("Roles: {}.").format(_join(names)),
    "granted": lambda names: gettext("Added: {}.").format(_join(names)),
    "taken": lambda names: gettext("Removed: {}.").format(_join(names)),
    "kind": lambda kind: f"{gettext('Passkey') if kind == 'passkey' else gettext('Authenticator app')}.",
    "left": lambda number: ngettext("{} recovery code is left.", "{} recovery codes are left.", number).format(
        number
    ),
    "invitation": lambda number: gettext("Invitation {}.").format(number),
    "presented_generation": lambda number: gettext("Token {} was presented.").format(number),
    "current_generation": lambda number: gettext("Token {} is the current one.").format(number),
}
