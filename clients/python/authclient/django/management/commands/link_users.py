import argparse
import json
from collections import Counter
from typing import Any, TextIO

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction

from authclient.django.conf import service_settings
from authclient.django.models import Identity

_LINKED, _ALREADY, _REFUSED = "linked", "already linked", "refused"


class Command(BaseCommand):
    """Links users who were imported into the token service to the users of this project."""

    help = "Link imported users. The file is the output of the token service's import_users. It can be repeated."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the argument for the file."""
        parser.add_argument("file", type=argparse.FileType(encoding="utf-8"), help="one JSON object per line")

    def handle(self, *args: Any, file: TextIO, **options: Any) -> None:
        """Link the users and report how many.

        Raises CommandError if the file is not an output of import_users, or if a link contradicts an existing one.
        """
        with file:
            counts = Counter(self._link(number, line) for number, line in enumerate(file, 1))
        self.stderr.write(", ".join(f"{counts[name]} {name}" for name in (_LINKED, _ALREADY, _REFUSED)) + ".")
        if counts[_REFUSED]:
            raise CommandError("Some users were not linked. See above for the reasons.")

    def _link(self, number: int, line: str) -> str | None:
        try:
            entry = json.loads(line)
            pk, subject = entry["pk"], entry.get("id")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CommandError(f"Line {number} is not from the output of import_users.") from None
        if subject is None:
            return None  # refused by import_users
        try:
            # JSON has no UUID: the key is text, and the model's keys are not.
            return self._store(get_user_model()._meta.pk.to_python(pk), str(subject))
        except ValidationError:
            self.stderr.write(f"Line {number}: {pk!r} cannot be the primary key of a user of this project.")
            return _REFUSED
        except (IntegrityError, LookupError):
            self.stderr.write(f"User {pk} does not exist, or the user or subject {subject} has another link.")
            return _REFUSED

    def _store(self, pk: Any, subject: str) -> str:
        """Store a link.

        Raises IntegrityError or LookupError if it cannot be stored.
        """
        if not get_user_model()._default_manager.filter(pk=pk).exists():
            raise LookupError
        with transaction.atomic():
            identity, is_new = Identity.objects.get_or_create(
                issuer=service_settings()["issuer"], subject=subject, defaults={"user_id": pk}
            )
        if identity.user.pk != pk:
            raise LookupError
        return _LINKED if is_new else _ALREADY
