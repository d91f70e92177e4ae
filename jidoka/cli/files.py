"""Files that a command reads or writes as a whole."""

from __future__ import annotations

import os
from pathlib import Path


def read_whole(path: Path) -> bytes:
    """All of it. Raises OSError."""
    return path.read_bytes()


def write_whole(path: Path, content: bytes) -> None:
    """All of *content* in the place of what was there, or nothing: for nobody else's eyes, and on the disk."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
