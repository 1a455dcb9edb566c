"""Accounts of another Django project, brought along: names, password hashes, and groups that are roles here.

An account is made whole or not at all, each batch in a transaction. One that is here already is left as it is, so
what was interrupted is run again. What breaks a rule of this service is refused, with the reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, get_hashers, identify_hasher
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from accounts.history.events import record_imports
from accounts.models import DEFAULT_ROLE, Role, User
from accounts.users.name_rules import NAMES, validation_errors
from accounts.values.identifiers import comparison_key, normalize

_NEEDED = ("username", "email", "password")


@dataclass(slots=True)
class ImportedAccount:
    """One account as it is read: who it was there, and who it is here or why it is not."""

    key: Any
    username: str
    user: User | None = None
    roles: frozenset[str] = frozenset()
    refusal: str = ""
    note: str = ""


def import_accounts(
    entries: Iterable[Any], groups: Mapping[str, str], *, batch_size: int
) -> Iterator[ImportedAccount]:
    """Make the accounts that `dumpdata auth.user --natural-foreign` tells of; yield what became of each.

    `groups` names the role that a group is here, "" for none; a group that is called as a role is that role.
    """
    known = {name: name for name in Role.objects.values_list("name", flat=True)}
    waiting = iter(entries)
    while batch := list(islice(waiting, batch_size)):
        yield from _bring_batch(batch, {**known, **groups})


# A sign-up may take a name while the batch is stored: then the batch is looked at anew.
@retry(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(3), reraise=True)
def _bring_batch(entries: Sequence[Any], groups: Mapping[str, str]) -> list[ImportedAccount]:
    accounts = [_read(entry, groups) for entry in entries]
    with transaction.atomic():
        new = _without_those_here(accounts)
        User.objects.bulk_create([account.user for account in new if account.user])
        _give_roles(new)
    return accounts


def _read(entry: Any, groups: Mapping[str, str]) -> ImportedAccount:
    fields = entry.get("fields") if isinstance(entry, dict) else None
    if not isinstance(fields, dict) or not all(type(fields.get(name)) is str for name in _NEEDED):
        key = entry.get("pk") if isinstance(entry, dict) else None
        return ImportedAccount(key, "", refusal=f"This is no user with {', '.join(_NEEDED)}.")
    account = ImportedAccount(entry.get("pk"), fields["username"])
    if fields.get("is_staff") or fields.get("is_superuser"):
        account.note = "was staff there, and is not here"
    held, unknown = _roles(fields.get("groups", []), groups)
    try:
        user = _user(fields)
    except (TypeError, ValueError, OverflowError) as error:
        account.refusal = f"This cannot be read: {error}"
        return account
    reasons = [
        f"{name}: {' '.join(texts)}" for name, texts in validation_errors(user, NAMES | {"password"}).items()
    ]
    account.refusal = "; ".join([*reasons, *_problems_of_hash(user.password), *unknown])
    if not account.refusal:
        account.user, account.roles = user, held | {DEFAULT_ROLE}
    return account


def _user(fields: Mapping[str, Any]) -> User:
    """Make what is to be stored.

    Raises TypeError, ValueError or OverflowError for a text that is none, and a moment that no calendar has.
    """
    fullname = f"{fields.get('first_name', '')} {fields.get('last_name', '')}"
    fullname.encode()  # half a surrogate pair is no text that a database takes
    joined = parse_datetime(fields.get("date_joined") or "") or timezone.now()
    return User(
        username=normalize(fields["username"]),
        email=normalize(fields["email"]),
        fullname=normalize(fullname),
        password=fields["password"],
        is_active=fields.get("is_active", True) is True,
        created_at=joined.astimezone(UTC) if joined.tzinfo else joined.replace(tzinfo=UTC),
    )


def _problems_of_hash(password: str) -> list[str]:
    """Say why a password would not be recognised at a sign-in; one that nobody can have is in order."""
    if password.startswith(UNUSABLE_PASSWORD_PREFIX) and password.isascii() and password.isprintable():
        return []
    try:
        password.encode("ascii")
        identify_hasher(password).decode(password)
    except (ValueError, LookupError, AssertionError, TypeError):
        taken = ", ".join(str(hasher.algorithm) for hasher in get_hashers())
        return [f"password: It is hashed in another way than {taken}, or misspelled."]
    return []


def _roles(held: Any, groups: Mapping[str, str]) -> tuple[frozenset[str], list[str]]:
    """Give the roles of those groups, and what to say of groups that are none."""
    listed = held if isinstance(held, list) else [held]
    names = [group[0] if isinstance(group, list) and group else group for group in listed]
    texts = [name if isinstance(name, str) else str(name) for name in names]
    unknown = [
        f"groups: {name!r} is no role here. Say which one it is, or none." for name in texts if name not in groups
    ]
    return frozenset(groups[name] for name in texts if groups.get(name)), unknown


def _without_those_here(accounts: Sequence[ImportedAccount]) -> list[ImportedAccount]:
    """Find the accounts to make; of the others note whose they are, or that their names are another's."""
    wanted = [account.user for account in accounts if account.user]
    username_keys = {comparison_key(user.username) for user in wanted}
    email_keys = {comparison_key(user.email) for user in wanted}
    there = User.objects.filter(models.Q(username_key__in=username_keys) | models.Q(email_key__in=email_keys))
    by_username, by_email = {}, {}
    for user in there:
        by_username[user.username_key], by_email[user.email_key] = user, user
    new = []
    for account in accounts:
        if account.user is None:
            continue
        keys = comparison_key(account.user.username), comparison_key(account.user.email)
        found = by_username.get(keys[0]), by_email.get(keys[1])
        if found == (None, None):
            by_username[keys[0]] = by_email[keys[1]] = account.user
            new.append(account)
        else:
            _settle(account, account.user, *found)
    return new


def _settle(account: ImportedAccount, user: User, by_username: User | None, by_email: User | None) -> None:
    """Take an account for the one that is here under its names; refuse it where that is somebody else's."""
    # Spelled otherwise it is another account: they were told apart there.
    names = (by_username.username, by_username.email) if by_username and by_username is by_email else None
    if names == (user.username, user.email):
        account.user = by_username
        return
    name = "username" if by_username else "email"
    account.user, account.refusal = None, f"{name}: Another account has this {name} already."


def _give_roles(new: Sequence[ImportedAccount]) -> None:
    granted = {account.user.pk: account.roles for account in new if account.user}
    held = User.roles.through
    held.objects.bulk_create(
        [held(user_id=user_id, role_id=name) for user_id, roles in granted.items() for name in sorted(roles)]
    )
    record_imports(granted)
