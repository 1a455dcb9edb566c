"""Rotates the signing key, or drops a compromised one."""

from argparse import _MutuallyExclusiveGroup

from accounts.conf import ALGORITHMS
from accounts.keys.folders import KeyFolder, signing_folder
from accounts.management.key_command import KeyCommand, Verbs


class Command(KeyCommand):
    """The command `rotate_signing_key`."""

    help = (
        "Schedules the next key to sign, and publishes a new next key. No request fails and no restart is "
        "needed: every process reads the new schedule on its next request. Tokens signed with the previous key "
        "remain valid until they expire. Safe to interrupt and to run again."
    )
    verbs = Verbs("signs", "verifies")

    def add_choices(self, choices: _MutuallyExclusiveGroup) -> None:
        """Add the options: another algorithm, or a key to drop."""
        choices.add_argument("--algorithm", choices=ALGORITHMS, help="sign with another algorithm from now on")
        super().add_choices(choices)

    def folder(self) -> KeyFolder:
        """Return the folder of the signing keys."""
        return signing_folder()
