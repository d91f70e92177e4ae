"""A small file beside the database that says how far each session had come, since the last checkpoint.

SQLite itself does not notice when the end of its write-ahead log is damaged: it forgets that end, whole commits that
were acknowledged. This file is written after each commit and emptied after each checkpoint, and its lines are a lower
bound: a session that is behind its line has lost what lies between. It is not synced, because the database is; what a
power cut leaves of it is older, and an older bound is still true.

The file is also the lock: whoever writes to the store holds it for as long as that takes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from jidoka.core.errors import StoreUnavailable

SUFFIX: Final = "-tail"
PURGED: Final = -1


def read_tail(database: Path) -> dict[int, tuple[str, int]]:
    """By arrival number: the session's id, and the seq that it had reached, or PURGED."""
    found: dict[int, tuple[str, int]] = {}
    try:
        lines = _beside(database).read_bytes().split(b"\n")
    except FileNotFoundError:
        return found
    for line in lines:
        text, _, sum = line.rpartition(b" ")
        # The last may be what a power cut has left of it.
        if text and sum == b"%08x" % crc32(text):
            arrival, seq, session_id = text.split(b" ")
            found[int(arrival)] = session_id.decode(), int(seq)
    return found


def _beside(database: Path) -> Path:
    return database.with_name(database.name + SUFFIX)


class Tail:
    """Opened by the one process that writes. Raises StoreUnavailable if another one does."""

    def __init__(self, database: Path) -> None:
        self._file = os.open(_beside(database), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StoreUnavailable(f"{database} is open for writing in another process, or in this one") from error

    def note(self, reached: Iterable[tuple[int, int, str]]) -> None:
        """(arrival, seq, id) of the sessions that a commit has changed."""
        lines: list[bytes] = []
        for arrival, seq, session_id in reached:
            text = b"%d %d %s" % (arrival, seq, session_id.encode())
            lines.append(b"%s %08x\n" % (text, crc32(text)))
        # On a full disk the bound stays where it was, which is still true.
        with suppress(OSError):
            os.write(self._file, b"".join(lines))

    def clear(self) -> None:
        """Everything up to here is in the database file itself."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let go of the lock. The file stays: removing it would race with the next one who locks it."""
        os.close(self._file)
