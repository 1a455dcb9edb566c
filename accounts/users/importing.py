"""Import accounts from another Django project: names, password hashes, and groups mapped to roles.

Each batch is stored in one transaction. An account that already exists is not changed, so an interrupted import
can be repeated. An account that breaks a rule of this service is refused, with the reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, get_hashers, identify_hasher
from django.db import IntegrityError, models
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from accounts.databases import atomic
from accounts.history.events import record_imports
from accounts.models import DEFAULT_ROLE, Role, User, require_roles
from accounts.passwords import equal_cost
from accounts.users.name_rules import NAMES, validation_errors
from accounts.values.identifiers import comparison_key, email_key, normalize, normalize_email
from accounts.values.password_hashes import CostlyHash, parse_cost

_REQUIRED_FIELDS = ("username", "email", "password")
_NOT_A_USER = f"This entry is not a user with the fields {', '.join(_REQUIRED_FIELDS)}."


@dataclass(slots=True)
class ImportedAccount:
    """The result for one exported account: its user here, or the reasons for refusing it.

    `key` is its primary key in the other project. `note` reports rights that were not imported.
    """

    key: Any
    username: str
    user: User | None = None
    roles: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()
    note: str = ""

    @property
    def refusal(self) -> str:
        """The reasons for refusing the account, or an empty string."""
        return "; ".join(self.reasons)


def import_accounts(
    entries: Iterable[Any], groups: Mapping[str, str], *, batch_size: int
) -> Iterator[ImportedAccount]:
    """Import the accounts that `dumpdata auth.user --natural-foreign` exported, and yield their results in order.

    `groups` maps group names to role names, or to "" to ignore a group. A group with the name of a role is mapped
    to that role by default. `batch_size` is the number of accounts in a transaction.

    Raises RolesMissing if the default role does not exist.
    """
    require_roles([DEFAULT_ROLE])
    known = {name: name for name in Role.objects.values_list("name", flat=True)}
    remaining = iter(entries)
    while batch := list(islice(remaining, batch_size)):
        yield from _import_batch(batch, {**known, **groups})


# A sign-up may take a name while the batch is being stored. The retry then finds that account.
@retry(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(3), reraise=True)
def _import_batch(entries: Sequence[Any], groups: Mapping[str, str]) -> list[ImportedAccount]:
    accounts = [_parse_entry(entry, groups) for entry in entries]
    with atomic(User):
        # Concurrent imports wait for each other, so that each sees the costs of the hashes that the others store.
        Role.objects.select_for_update(no_key=True).get(pk=DEFAULT_ROLE)
        new = _select_new(accounts)
        users = User.objects.bulk_create([account.user for account in new if account.user])
        equal_cost.remember(users)
        _grant_roles(new)
    return accounts


def _parse_entry(entry: Any, groups: Mapping[str, str]) -> ImportedAccount:
    fields = entry.get("fields") if isinstance(entry, dict) else None
    if not isinstance(fields, dict) or not all(type(fields.get(name)) is str for name in _REQUIRED_FIELDS):
        key = entry.get("pk") if isinstance(entry, dict) else None
        return ImportedAccount(key, "", reasons=(_NOT_A_USER,))
    account = ImportedAccount(entry.get("pk"), fields["username"])
    if fields.get("is_staff") or fields.get("is_superuser"):
        account.note = "Staff and superuser rights were not imported."
    roles, unknown_groups = _map_groups(fields.get("groups", []), groups)
    try:
        user = _build_user(fields)
    except (TypeError, ValueError, OverflowError) as error:
        account.reasons = (f"Invalid value: {error}",)
        return account
    account.reasons = (*_name_errors(user), *_hash_errors(user.password), *unknown_groups)
    if not account.reasons:
        account.user, account.roles = user, roles | {DEFAULT_ROLE}
    return account


def _build_user(fields: Mapping[str, Any]) -> User:
    """Return the unsaved user for exported fields.

    Raises TypeError, ValueError or OverflowError for text that cannot be encoded and for impossible dates.
    """
    fullname = f"{fields.get('first_name', '')} {fields.get('last_name', '')}"
    fullname.encode()  # raises UnicodeEncodeError for a lone surrogate, which a database rejects
    joined = parse_datetime(fields.get("date_joined") or "") or timezone.now()
    return User(
        username=normalize(fields["username"]),
        email=normalize_email(fields["email"]),
        fullname=normalize(fullname),
        password=_encode_for_django(fields["password"]),
        is_active=fields.get("is_active", True) is True,
        created_at=joined.astimezone(UTC) if joined.tzinfo else joined.replace(tzinfo=UTC),
    )


def _name_errors(user: User) -> list[str]:
    errors = validation_errors(user, NAMES | {"password"})
    return [f"{name}: {' '.join(messages)}" for name, messages in errors.items()]


def _encode_for_django(password: str) -> str:
    """Return a hash in Django's format. bcrypt hashes of other frameworks begin with `$2`, without its name."""
    return f"bcrypt${password}" if password.startswith("$2") else password


def _hash_errors(password: str) -> list[str]:
    """Return an error if a password hash could not be verified at sign-in. An unusable password is allowed."""
    if password.startswith(UNUSABLE_PASSWORD_PREFIX) and password.isascii() and password.isprintable():
        return []
    try:
        identify_hasher(password)
        parse_cost(password)
    except CostlyHash as error:
        return [_costly_reason(error)]
    except ValueError:
        supported = ", ".join(str(hasher.algorithm) for hasher in get_hashers())
        return [f"password: The hash is malformed or not one of {supported}."]
    return []


def _costly_reason(error: CostlyHash) -> str:
    return f"password: The hash costs too much to verify. Allowed: {error}."


def _map_groups(memberships: Any, groups: Mapping[str, str]) -> tuple[frozenset[str], list[str]]:
    """Return the roles for the groups of a user, and an error for each group that maps to no role."""
    listed = memberships if isinstance(memberships, list) else [memberships]
    natural_keys = [group[0] if isinstance(group, list) and group else group for group in listed]
    names = [name if isinstance(name, str) else str(name) for name in natural_keys]
    unknown = [
        f"groups: {name!r} is not a role here. Map it with --group." for name in names if name not in groups
    ]
    return frozenset(groups[name] for name in names if groups.get(name)), unknown


def _select_new(accounts: Sequence[ImportedAccount]) -> list[ImportedAccount]:
    """Return the accounts to create; match the others to existing users, or refuse them."""
    by_username, by_email = _existing_users([account.user for account in accounts if account.user])
    budget = equal_cost.ImportBudget()
    new = []
    for account in accounts:
        if account.user is None:
            continue
        username_key, address_key = comparison_key(account.user.username), email_key(account.user.email)
        matches = by_username.get(username_key), by_email.get(address_key)
        if matches != (None, None):
            _match_or_refuse(account, account.user, *matches)
        elif _is_affordable(account, account.user, budget):
            by_username[username_key] = by_email[address_key] = account.user
            new.append(account)
    return new


def _is_affordable(account: ImportedAccount, user: User, budget: equal_cost.ImportBudget) -> bool:
    """Return whether the budget has room for the password hash of a new account, and refuse the account if not."""
    try:
        budget.add(user.password)
    except CostlyHash as error:
        account.user, account.reasons = None, (_costly_reason(error),)
    return account.user is not None


def _existing_users(candidates: Sequence[User]) -> tuple[dict[str, User], dict[str, User]]:
    username_keys = {comparison_key(user.username) for user in candidates}
    email_keys = {email_key(user.email) for user in candidates}
    existing = User.objects.filter(models.Q(username_key__in=username_keys) | models.Q(email_key__in=email_keys))
    by_username, by_email = {}, {}
    for user in existing:
        by_username[user.username_key], by_email[user.email_key] = user, user
    return by_username, by_email


def _match_or_refuse(
    account: ImportedAccount, user: User, by_username: User | None, by_email: User | None
) -> None:
    """Match an account to the existing user with the same username and email, or refuse it if they are taken."""
    # Names that differ in case or form belong to different accounts in the other project.
    names = (by_username.username, by_username.email) if by_username and by_username is by_email else None
    if names == (user.username, user.email):
        account.user = by_username
        return
    name = "username" if by_username else "email"
    account.user, account.reasons = None, (f"{name}: Another account already has this {name}.",)


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
