"""Secrets on disk: made once, whole, and readable by their owner alone."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO


def read_or_create(path: Path, create: Callable[[], bytes]) -> bytes:
    """Return the bytes kept at `path`; on the first call ever, make and keep them.

    Any number of processes may call it at once for the same path: exactly one result of `make` is kept,
    and all of them return that one. The file appears whole or not at all, with mode 0600, in a folder
    that is made with mode 0700 where it is missing.

    Raises OSError if the file can neither be read nor made.
    """
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, create())
        # Unlike a rename, a link never replaces what another process has kept in the meantime.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()


def replace_file(path: Path, content: bytes) -> None:
    """Keep other content at `path`: whoever reads it gets the old or the new, whole.

    Raises OSError; then the old content is still there.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def open_private(path: Path, flags: int = 0) -> IO[bytes]:
    """Open a file for writing that its owner alone can read; where there is none, make it.

    What root makes belongs to the folder's owner: a command that is run as root locks nobody out.

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
