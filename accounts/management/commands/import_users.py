"""Imports accounts with their password hashes from another Django project."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
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
        with _open(file) as stream:
            for account in importing.import_accounts(_read_entries(stream), groups, batch_size=BATCH_SIZE):
                self.stdout.write(_format_result(account))
                present += account.user is not None
                refused += account.user is None
        summary = f"{present} account(s) imported or already present"
        if refused:
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


def _read_entries(stream: IO[str]) -> Iterator[Any]:
    """Yield the entries of a file that contains one JSON list, or one JSON value per line."""
    for number, line in enumerate(stream, 1):
        is_list = number == 1 and line.lstrip().startswith("[")
        try:
            values = json.loads(line + stream.read()) if is_list else [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError):
            where = "The file" if is_list else f"Line {number}"
            message = f"{where} is not valid JSON. Correct it and run the command again: imported accounts remain."
            raise CommandError(message) from None
        yield from values


def _format_result(account: ImportedAccount) -> str:
    result = {"pk": account.key, "username": account.username}
    result |= {"id": account.user.pk} if account.user else {"refused": account.refusal}
    return json.dumps({**result, **({"note": account.note} if account.note else {})})
