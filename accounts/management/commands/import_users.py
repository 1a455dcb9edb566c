import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import RoleUnknown
from accounts.users import importing
from accounts.users.importing import ImportedAccount
from accounts.users.roles import refuse_unknown

BATCH_SIZE = 500


class Command(BaseCommand):
    """Bring accounts along from another Django project."""

    help = (
        "Makes accounts of what `manage.py dumpdata auth.user --natural-foreign --format jsonl` wrote in another "
        "project. Says of each, in a line of JSON, which id it has here or why it was refused. Accounts that are "
        "here already are left as they are: safe to interrupt, and to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a file, and what the groups are here."""
        parser.add_argument("file", help="what dumpdata wrote, as JSON or JSONL; - for standard input")
        parser.add_argument(
            "--group",
            action="append",
            type=_parse_group,
            default=[],
            metavar="NAME=ROLE",
            help="the role that a group is here, nothing for none; a group called as a role is that role",
        )

    def handle(self, *, file: str, group: list[tuple[str, str]], **_: Any) -> None:
        """Bring them along, and say what became of each."""
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
        if refused:
            raise CommandError(f'{present} accounts are here. {refused} were refused: "refused" says why.')
        self.stderr.write(f"{present} accounts are here.")


def _parse_group(text: str) -> tuple[str, str]:
    name, equals, role = text.rpartition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is not of the form NAME=ROLE")
    return name, role


def _open(file: str) -> Any:
    if file == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(file).open(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None


def _read_entries(stream: IO[str]) -> Iterator[Any]:
    """Read one JSON list, or a JSON value a line."""
    for number, line in enumerate(stream, 1):
        is_list = number == 1 and line.lstrip().startswith("[")
        try:
            values = json.loads(line + stream.read()) if is_list else [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError):
            where = "The file" if is_list else f"Line {number}"
            raise CommandError(f"{where} is no JSON. What came before it may be here; run it again.") from None
        yield from values


def _format_result(account: ImportedAccount) -> str:
    result = {"pk": account.key, "username": account.username}
    result |= {"id": account.user.pk} if account.user else {"refused": account.refusal}
    return json.dumps({**result, **({"note": account.note} if account.note else {})})
