"""Where keys are: those that sign in AUTH_KEYS_DIR, those that encrypt in the folder `encryption` within it."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from accounts.conf import auth_settings
from accounts.keys.signing_keys import ENCRYPTION_ALGORITHM


class KeyFolder(NamedTuple):
    """A folder with a schedule of its own, and the algorithm of the keys that are created in it."""

    path: Path
    algorithm: str


def signing_folder() -> KeyFolder:
    """Return the folder of the keys that sign access tokens."""
    settings = auth_settings()
    return KeyFolder(settings.keys_dir, settings.algorithm)


def encryption_folder() -> KeyFolder:
    """Return the folder of the keys that encrypt access tokens."""
    return _encryption_folder(auth_settings().keys_dir)


@cache
def _encryption_folder(keys_dir: Path) -> KeyFolder:
    return KeyFolder(keys_dir / "encryption", ENCRYPTION_ALGORITHM)
