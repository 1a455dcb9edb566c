"""Rotates the key that encrypts access tokens, or drops a compromised one."""

from django.core.management.base import CommandError

from accounts.conf import auth_settings
from accounts.keys.folders import KeyFolder, encryption_folder
from accounts.management.key_command import KeyCommand, Verbs


class Command(KeyCommand):
    """The command `rotate_encryption_key`."""

    help = (
        "Schedules the next key to encrypt access tokens, and creates a new next key. Before, give every service "
        "that decrypts the output of show_encryption_key, which includes the next key; afterwards, do so again."
    )
    verbs = Verbs("encrypts", "decrypts")

    def folder(self) -> KeyFolder:
        """Return the folder of the keys that encrypt. Raises CommandError if the service has none yet."""
        folder = encryption_folder()
        if auth_settings().keys_dir.is_dir() and not folder.path.is_dir():
            raise CommandError(
                "There is no encryption key to rotate. "
                "Create the first keys with `AUTH_TOKEN_ENCRYPTION=true manage.py show_encryption_key`."
            )
        return folder
