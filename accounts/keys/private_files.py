"""Files for secrets: written atomically, readable by their owner only."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO


def read_or_create(path: Path, create: Callable[[], bytes]) -> bytes:
    """Return the content of `path`, creating the file with the result of `create` if it does not exist.

    Any number of processes may call this at once for the same path: exactly one result is stored, and all of them
    return it. The file appears complete or not at all, with mode 0600, in a folder that is created with mode 0700.

    Raises OSError if the file can be neither read nor created.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, create())
        # Unlike a rename, a link never replaces a file that another process has created in the meantime.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()


def replace_file(path: Path, content: bytes) -> None:
    """Replace the content of `path` atomically.

    Raises OSError, and keeps the old content in that case.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create a folder with mode 0700 unless it exists.

    If root creates it, it belongs to the owner of the folder that contains it, for the reason given in
    `open_private`.

    Raises OSError.
    """
    if path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)


def open_private(path: Path, flags: int = 0) -> IO[bytes]:
    """Open a file for writing with mode 0600, creating it if needed.

    If root creates the file, it belongs to the folder's owner, so that a command run as root does not lock out the
    service.

    Raises OSError.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return os.fdopen(descriptor, "wb")


def _write(path: Path, content: bytes) -> None:
    with open_private(path, os.O_EXCL) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
