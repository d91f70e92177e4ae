"""A copy of the database file while it is in use."""

from __future__ import annotations

import os
from pathlib import Path

from jidoka.adapters import sqlite_file as file
from jidoka.adapters.sqlite_read import Sight
from jidoka.core.errors import InvalidMessage


def copy_of(connection: file.Connection, _: Sight, target: Path) -> None:
    """The store at one moment, as *target*: whole, or not there at all. Raises InvalidMessage where there is one."""
    if target.exists():
        raise InvalidMessage(f"there is a {target} already", field="target")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        with file.translated(target):
            file.prepare(unfinished)
            # Before the first page comes: those that leave the cache before page 1 would get no checksums.
            copy = file.format_new(file.connect(unfinished), unfinished)
            try:
                with copy.backup("main", connection, "main") as backup:
                    backup.step(-1)
                copy.pragma("journal_mode", "delete")
            finally:
                copy.close()
            _sync(unfinished)
            # Fails where somebody else has made one meanwhile.
            os.link(unfinished, target)
            _sync(target.parent)
    except FileExistsError as error:
        raise InvalidMessage(f"there is a {target} already", field="target") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
