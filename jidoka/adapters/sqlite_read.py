"""The readers' side of the SQLite store: every answer is checked before it is given."""

from __future__ import annotations

import logging
from pathlib import Path

from jidoka.adapters import sqlite_file as file
from jidoka.adapters.durable import Found, found_in
from jidoka.core import chains
from jidoka.core.coding import broken, first_sum, hashed, kept_sum
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, SessionNotFound
from jidoka.core.headrows import Row
from jidoka.core.heads import Head
from jidoka.core.views import Damage
from jidoka.ports.sealing import Keyring, Open

log = logging.getLogger("jidoka.store")

_ROW = ", ".join(f"s.{name}" for name in Row._fields).replace("s.session_id", "s.id")
LOAD = f"select {_ROW}, p.profile, p.wrapped from sessions s left join profiles p using (arrival)"
_ENTRIES = "select seq, body from entries where session = ? and seq > ? order by seq limit ?"
_WIDTH = len(Row._fields)


class Sight:
    """What one needs to know to read the file: the keys, and what of it is known to be damaged."""

    def __init__(self, path: Path, keyring: Keyring | None = None) -> None:
        self.path = path
        self.keyring: Keyring = keyring or Open()
        self.damages: dict[str, Damage] = {}
        self.left_out: dict[str, Damage] = {}

    @property
    def secret(self) -> bytes:
        """What hides that which is looked up."""
        return self.keyring.secret

    def unlock(self, connection: file.Connection) -> bytes | None:
        """Get the keys ready; what the file is to keep of them, if that is new. Raises StoreUnavailable."""
        (kept,) = next(iter(file.rows(connection, "select value from vault where name = 'keys'")), (None,))
        is_new = not file.rows(connection, "select 1 from sessions limit 1")
        return self.keyring.unlock(kept, is_new=is_new)

    def look_for_damages(self, connection: file.Connection) -> None:
        """Which sessions are known to have lost something."""
        for session_id, first_seq, last_seq, text in file.rows(connection, "select * from damages"):
            self.damages[session_id] = Damage(session_id=session_id, first_seq=first_seq, last_seq=last_seq, text=text)

    def found_damaged(self, name: str, error: CorruptRecord) -> None:
        """Remember what a listing has left out."""
        if name not in self.damages:
            log.error("a session is left out of a listing: %s", error)
            self.left_out[name] = Damage(session_id=error.session_id, text=str(error))

    def refuse_damaged(self, session_id: str) -> None:
        """Raises CorruptRecord for a session that is known to have lost something."""
        lost = self.damages.get(session_id)
        if lost is not None:
            raise broken(session_id, lost.first_seq, lost.last_seq, lost.text)


# --- one session ----------------------------------------------------------------------------------


def load(connection: file.Connection, sight: Sight, session_id: str) -> Found | None:
    """The session's head. None when there is no such session. Raises CorruptRecord."""
    sight.refuse_damaged(session_id)
    with file.translated(sight.path, session_id=session_id):
        rows = file.rows(connection, f"{LOAD} where s.id = ?", (session_id,))
    return found_in(rows[0], sight.keyring) if rows else None


def head(connection: file.Connection, sight: Sight, session_id: str) -> Head | None:
    """The session's head."""
    found = load(connection, sight, session_id)
    return None if found is None else found.head


def read(connection: file.Connection, sight: Sight, session_id: str, after: int, limit: int | None) -> list[Entry]:
    """Entries, as `Store.read` promises them."""
    with snapshot(connection), file.translated(sight.path, session_id=session_id):
        found = load(connection, sight, session_id)
        if found is None:
            raise SessionNotFound(session_id)
        return checked(connection, found, after, limit)


def checked(connection: file.Connection, found: Found, after: int, limit: int | None) -> list[Entry]:
    """The entries after *after*, each of which is as it was written, and none of which is missing."""
    head = found.head
    last = head.seq if limit is None else min(head.seq, after + limit)
    if after >= last:
        return []
    rows = file.rows(connection, _ENTRIES, (head.arrival, after, last - after))
    return chains.checked(
        head.session_id,
        ((seq, kept_sum(kept), kept[4:]) for seq, kept in rows),
        after=after,
        sum_before=_sum_of(connection, found, after),
        last=last,
        last_sum=found.last_sum if last == head.seq else None,
        unseal=found.unseal,
    )


def _sum_of(connection: file.Connection, found: Found, seq: int) -> int:
    """The checksum of an entry, with which the next one's begins."""
    if not seq:
        return first_sum(found.head.session_id)
    rows = file.rows(connection, "select body from entries where session = ? and seq = ?", (found.head.arrival, seq))
    if not rows:
        raise broken(found.head.session_id, seq, seq, "missing")
    return kept_sum(rows[0][0])


def entry_with(connection: file.Connection, sight: Sight, session_id: str, key: str) -> Entry | None:
    """The entry that has the key."""
    with snapshot(connection), file.translated(sight.path, session_id=session_id):
        found = load(connection, sight, session_id)
        if found is None:
            return None
        rows = file.rows(connection, _SEQ_OF_KEY, (found.head.arrival, hashed(key, sight.secret)))
        for (seq,) in rows:
            (entry,) = checked(connection, found, seq - 1, 1)
            if entry.key == key:
                return entry
        return None


class snapshot:
    """Everything inside sees the same moment."""

    def __init__(self, connection: file.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("begin")

    def __exit__(self, *_: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")


_SEQ_OF_KEY = "select seq from keys where session = ? and key = ?"
