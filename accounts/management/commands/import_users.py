"""Imports accounts with their password hashes from another Django project."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError

from accounts.errors import RoleUnknown
from accounts.management.service_command import ServiceCommand
from accounts.users import importing
from accounts.users.importing import ImportedAccount
from accounts.users.roles import refuse_unknown

BATCH_SIZE = 500
MAX_REASONS = 20
MAX_POSITIONS = 5
"""How many reasons the summary of refused accounts lists, and how many lines of the file for each."""

_PLURALS = {"line": "lines", "entry": "entries"}


class Command(ServiceCommand):
    """The command `import_users`."""

    help = (
        "Imports accounts with their password hashes from another Django project. The file is the output of its "
        "`manage.py dumpdata auth.user --natural-foreign --format jsonl`. Prints one line of JSON per account, "
        "with the new id or the reason why the account was refused. Existing accounts are not changed. "
        "Safe to interrupt and to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the file, and the roles that replace groups."""
        parser.add_argument("file", help="output of dumpdata, as JSON or JSONL; - for standard input")
        parser.add_argument(
            "--group",
            action="append",
            type=_parse_group,
            default=[],
            metavar="NAME=ROLE",
            help="role for the members of a group, or nothing for none; a group named like a role gets that role",
        )

    def handle(self, *, file: str, group: list[tuple[str, str]], **_: Any) -> None:
        """Import the accounts, and print the result for each."""
        groups = dict(group)
        try:
            refuse_unknown(role for role in groups.values() if role)
        except RoleUnknown as error:
            raise CommandError(str(error)) from None
        present = refused = 0
        positions_by_reason: dict[str, list[int]] = defaultdict(list)
        with _open(file) as stream:
            entries = _Entries(stream)
            for account in importing.import_accounts(entries, groups, batch_size=BATCH_SIZE):
                self.stdout.write(_format_result(account))
                position = entries.positions.popleft()
                present += account.user is not None
                refused += account.user is None
                for reason in account.reasons:
                    positions_by_reason[reason].append(position)
        summary = f"{present} account(s) imported or already present"
        if refused:
            self.stderr.write("\n".join(_summarize(positions_by_reason, entries.unit)))
            raise CommandError(f'{summary}, {refused} refused. See "refused" in the output for the reasons.')
        self.stderr.write(f"{summary}.")


def _parse_group(text: str) -> tuple[str, str]:
    name, equals, role = text.rpartition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} does not have the form NAME=ROLE")
    return name, role


def _open(file: str) -> Any:
    if file == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(file).open(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None


class _Entries:
    """The entries of a file that contains one JSON list, or one JSON value per line.

    `positions` has the line of each entry that was read, and in a list its number. `unit` names which of the two.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.positions: deque[int] = deque()
        self.unit = "line"
        self._stream = stream

    def __iter__(self) -> Iterator[Any]:
        for number, line in enumerate(self._stream, 1):
            if number == 1 and line.lstrip().startswith("["):
                self.unit = "entry"
                values = list(enumerate(_parse_json(line + self._stream.read(), "The file"), 1))
            else:
                values = [(number, _parse_json(line, f"Line {number}"))] if line.strip() else []
            for position, value in values:
                self.positions.append(position)
                yield value


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        message = f"{where} is not valid JSON. Correct it and run the command again: imported accounts remain."
        raise CommandError(message) from None


def _summarize(positions_by_reason: Mapping[str, list[int]], unit: str) -> Iterator[str]:
    """Yield a line for each of the most frequent reasons: how many accounts it applies to, and the first."""
    frequent = sorted(positions_by_reason.items(), key=lambda item: (-len(item[1]), item[1][0]))
    for reason, positions in frequent[:MAX_REASONS]:
        first = ", ".join(map(str, positions[:MAX_POSITIONS]))
        more = ", …" if len(positions) > MAX_POSITIONS else ""
        noun = unit if len(positions) == 1 else _PLURALS[unit]
        yield f"{len(positions)} × {reason} ({noun} {first}{more})"
    if len(frequent) > MAX_REASONS:
        yield f"{len(frequent) - MAX_REASONS} more reasons: see the output."


def _format_result(account: ImportedAccount) -> str:
    result = {"pk": account.key, "username": account.username}
    result |= {"id": account.user.pk} if account.user else {"refused": account.refusal}
    return json.dumps({**result, **({"note": account.note} if account.note else {})})
