"""Use the files and folders that settings name, with errors that say which setting is wrong."""

from pathlib import Path
from typing import Any

import environs
from django.core.exceptions import ImproperlyConfigured


class FileAwareEnv(environs.FileAwareEnv):
    """The environment, in which NAME_FILE is the path of a file to read NAME from."""

    def _get_value(self, env_key: str, default: Any) -> Any:
        """Return the content of the file that NAME_FILE names, or the value of NAME.

        Raises ImproperlyConfigured, without repeating the path: a secret may have been put there by mistake.
        """
        try:
            return super()._get_value(env_key, default)
        except (OSError, ValueError) as error:
            # environs raises ValueError for some errors of the operating system, and hides which one.
            cause = error if isinstance(error, OSError) else error.__cause__
            reason = getattr(cause, "strerror", None) or "it is not text in UTF-8"
            raise ImproperlyConfigured(
                f"{env_key}{self.file_suffix} cannot be read: {reason}. Allowed: the path of a text file."
            ) from None


def make_database_folder(name: str, path: Path) -> None:
    """Create the folder of an SQLite database unless it exists, with mode 0700.

    Raises ImproperlyConfigured if the database cannot be at `path`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = "it is a folder" if path.is_dir() else ""
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        allowed = "sqlite:///PATH of a file, in a folder that the service may write"
        raise ImproperlyConfigured(f"{name}: {path} cannot be used: {reason}. Allowed: {allowed}.")
