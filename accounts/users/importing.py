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

_REQUIRED_FIELDS = ("username", "email", "password")


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
    remaining = iter(entries)
    while batch := list(islice(remaining, batch_size)):
        yield from _import_batch(batch, {**known, **groups})


# A sign-up may take a name while the batch is stored: then the batch is looked at anew.
@retry(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(3), reraise=True)
def _import_batch(entries: Sequence[Any], groups: Mapping[str, str]) -> list[ImportedAccount]:
    accounts = [_parse_entry(entry, groups) for entry in entries]
    with transaction.atomic():
        new = _select_new(accounts)
        User.objects.bulk_create([account.user for account in new if account.user])
        _grant_roles(new)
    return accounts


def _parse_entry(entry: Any, groups: Mapping[str, str]) -> ImportedAccount:
    fields = entry.get("fields") if isinstance(entry, dict) else None
    if not isinstance(fields, dict) or not all(type(fields.get(name)) is str for name in _REQUIRED_FIELDS):
        key = entry.get("pk") if isinstance(entry, dict) else None
        return ImportedAccount(key, "", refusal=f"This is no user with {', '.join(_REQUIRED_FIELDS)}.")
    account = ImportedAccount(entry.get("pk"), fields["username"])
    if fields.get("is_staff") or fields.get("is_superuser"):
        account.note = "was staff there, and is not here"
    roles, unknown_groups = _map_groups(fields.get("groups", []), groups)
    try:
        user = _build_user(fields)
    except (TypeError, ValueError, OverflowError) as error:
        account.refusal = f"This cannot be read: {error}"
        return account
    account.refusal = "; ".join([*_name_errors(user), *_hash_errors(user.password), *unknown_groups])
    if not account.refusal:
        account.user, account.roles = user, roles | {DEFAULT_ROLE}
    return account


def _build_user(fields: Mapping[str, Any]) -> User:
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


def _name_errors(user: User) -> list[str]:
    errors = validation_errors(user, NAMES | {"password"})
    return [f"{name}: {' '.join(messages)}" for name, messages in errors.items()]


def _hash_errors(password: str) -> list[str]:
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


def _map_groups(memberships: Any, groups: Mapping[str, str]) -> tuple[frozenset[str], list[str]]:
    """Give the roles of those groups, and what to say of groups that are none."""
    listed = memberships if isinstance(memberships, list) else [memberships]
    natural_keys = [group[0] if isinstance(group, list) and group else group for group in listed]
    names = [name if isinstance(name, str) else str(name) for name in natural_keys]
    unknown = [
        f"groups: {name!r} is no role here. Say which one it is, or none." for name in names if name not in groups
    ]
    return frozenset(groups[name] for name in names if groups.get(name)), unknown


def _select_new(accounts: Sequence[ImportedAccount]) -> list[ImportedAccount]:
    """Find the accounts to make; of the others note whose they are, or that their names are another's."""
    by_username, by_email = _existing_users([account.user for account in accounts if account.user])
    new = []
    for account in accounts:
        if account.user is None:
            continue
        username_key, email_key = comparison_key(account.user.username), comparison_key(account.user.email)
        matches = by_username.get(username_key), by_email.get(email_key)
        if matches == (None, None):
            by_username[username_key] = by_email[email_key] = account.user
            new.append(account)
        else:
            _match_or_refuse(account, account.user, *matches)
    return new


def _existing_users(candidates: Sequence[User]) -> tuple[dict[str, User], dict[str, User]]:
    username_keys = {comparison_key(user.username) for user in candidates}
    email_keys = {comparison_key(user.email) for user in candidates}
    existing = User.objects.filter(models.Q(username_key__in=username_keys) | models.Q(email_key__in=email_keys))
    by_username, by_email = {}, {}
    for user in existing:
        by_username[user.username_key], by_email[user.email_key] = user, user
    return by_username, by_email


def _match_or_refuse(
    account: ImportedAccount, user: User, by_username: User | None, by_email: User | None
) -> None:
    """Take an account for the one that is here under its names; refuse it where that is somebody else's."""
    # Spelled otherwise it is another account: they were told apart there.
    names = (by_username.username, by_username.email) if by_username and by_username is by_email else None
    if names == (user.username, user.email):
        account.user = by_username
        return
    name = "username" if by_username else "email"
    account.user, account.refusal = None, f"{name}: Another account has this {name} already."


def _grant_roles(new: Sequence[ImportedAccount]) -> None:
    roles_by_user_id = {account.user.pk: account.roles for account in new if account.user}
    memberships = User.roles.through
    memberships.objects.bulk_create(
        [
            memberships(user_id=user_id, role_id=name)
            for user_id, roles in roles_by_user_id.items()
            for name in sorted(roles)
        ]
    )
    record_imports(roles_by_user_id)
