"""What one commit will change: collected first, then stored with one statement for each kind of row."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from jidoka.adapters.durable import owner_key
from jidoka.core.coding import encode, first_sum, hashed, next_sum, terms, with_sum
from jidoka.core.errors import StoreUnavailable
from jidoka.core.headrows import STATUS_CODES, Row, profile_of, row_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jidoka.adapters import sqlite_file as file
    from jidoka.core.entries import Entry
    from jidoka.core.heads import Head
    from jidoka.core.status import SessionStatus
    from jidoka.ports.sealing import Seal

_COLUMNS = ", ".join(f"{name} = ?" for name in Row._fields[3:13])
_HOT = f"update sessions set {_COLUMNS}, last_sum = ?, profile_sum = ?, note = ?, row_sum = ?"
_WHERE = " where arrival = ? and seq = ? and epoch = ?"
_MOVE = _HOT + _WHERE
_MOVE_STATUS = _HOT + ", status = ?, expires_at = ?" + _WHERE
_ENTRY = "insert into entries (session, seq, body) values (?, ?, ?)"
_KEY = "insert into keys (session, key, seq) values (?, ?, ?)"
_OUT = "delete from terms where term = ? and arrival = ?"
_IN = "insert or ignore into terms (term, arrival) values (?, ?)"
_BORN = f"insert into sessions ({', '.join(Row._fields).replace('session_id', 'id')}, owner) values (?{', ?' * 18})"


class Held:
    """What the writer knows of a session: where its journal stands. Replaced, not changed, so that it can be undone."""

    __slots__ = ("head", "last_sum", "profile_sum", "seal")

    def __init__(self, head: Head, *, last_sum: int, profile_sum: int, seal: Seal) -> None:
        self.head = head
        self.last_sum = last_sum
        self.profile_sum = profile_sum
        self.seal = seal


class Batch:
    """The changes of one commit."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        # By session id: as it will be. None for a session that is gone.
        self.held: dict[str, Held | None] = {}
        self.keys: dict[tuple[int, str], Entry] = {}
        # By arrival: seq and epoch as they are in the file, or None for a session that is not there yet.
        self._before: dict[int, tuple[int, int, SessionStatus] | None] = {}
        self._entries: list[tuple[int, int, bytes]] = []
        self._keys: list[tuple[int, int, int]] = []
        self._profiles: dict[int, bytes] = {}
        self._wrapped: dict[int, bytes | None] = {}
        # Which (term, arrival) there are to be, and which not.
        self._terms: dict[tuple[int, int], bool] = {}
        self.totals: Counter[int] = Counter()
        self.reached: dict[int, tuple[int, str]] = {}

    def begin(self, head: Head, entries: Sequence[Entry], seal: Seal, wrapped: bytes | None) -> None:
        """A new journal: *head* is what *entries* add up to."""
        self._before[head.arrival] = None
        self._wrapped[head.arrival] = wrapped
        self._index(head, True)
        born = Held(head, last_sum=first_sum(head.session_id), profile_sum=0, seal=seal)
        self._put(born, head, entries, is_new_profile=True)

    def go_on(self, held: Held, head: Head, entries: Sequence[Entry]) -> None:
        """More of a journal, or a claim of it: *head* is what it adds up to then."""
        known = held.head
        self._before.setdefault(head.arrival, (known.seq, known.epoch, known.status))
        is_new_profile = head.metadata is not known.metadata
        if is_new_profile:
            self._index(known, False)
            self._index(head, True)
        self._put(held, head, entries, is_new_profile=is_new_profile)

    def _index(self, head: Head, is_there: bool) -> None:
        for term in terms(head.metadata, self._secret):
            self._terms[term, head.arrival] = is_there

    def _put(self, held: Held, head: Head, entries: Sequence[Entry], *, is_new_profile: bool) -> None:
        last_sum, profile_sum, seal = held.last_sum, held.profile_sum, held.seal
        for entry in entries:
            body = seal.seal(str(entry.seq), encode(entry))
            last_sum = next_sum(body, last_sum)
            self._entries.append((head.arrival, entry.seq, with_sum(body, last_sum)))
            if entry.key is not None:
                self._keys.append((head.arrival, hashed(entry.key, self._secret), entry.seq))
                self.keys[head.arrival, entry.key] = entry
        if is_new_profile:
            profile = self._profiles[head.arrival] = seal.seal("profile", profile_of(head))
            profile_sum = crc32(profile)
        self.held[head.session_id] = Held(head, last_sum=last_sum, profile_sum=profile_sum, seal=seal)
        self.reached[head.arrival] = head.seq, head.session_id

    # --- storing ---------------------------------------------------------------------------------

    def store(self, connection: file.Connection) -> None:
        """Write everything. Raises StoreUnavailable where a row is not as it was when this was decided."""
        self._store_heads(connection)
        if self._entries:
            connection.executemany(_ENTRY, self._entries)
        if self._keys:
            connection.executemany(_KEY, self._keys)
        if self._profiles:
            connection.executemany(
                "insert into profiles (arrival, profile, wrapped) values (?, ?, ?)"
                " on conflict (arrival) do update set profile = excluded.profile",
                [(arrival, profile, self._wrapped.get(arrival)) for arrival, profile in self._profiles.items()],
            )
        for sql, wanted in ((_OUT, False), (_IN, True)):
            if changes := [term for term, is_there in self._terms.items() if is_there is wanted]:
                connection.executemany(sql, changes)
        if changed := [(status, by) for status, by in self.totals.items() if by]:
            connection.executemany(
                "insert into totals (status, sessions) values (?, ?)"
                " on conflict (status) do update set sessions = sessions + excluded.sessions",
                changed,
            )
        self._stored()

    def _stored(self) -> None:
        self._before, self._profiles, self._wrapped, self._terms = {}, {}, {}, {}
        self._entries, self._keys = [], []
        self.totals = Counter()

    def _store_heads(self, connection: file.Connection) -> None:
        born: list[tuple[Any, ...]] = []
        moved: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        for held in self.held.values():
            if held is None or held.head.arrival not in self._before:
                continue
            row, before = _row(held), self._before[held.head.arrival]
            hot = (*row[3:13], row.last_sum, row.profile_sum, row.note, row.row_sum)
            if before is None:
                born.append((*row, owner_key(held.head.owner, self._secret)))
                self.totals[row.status] += 1
            elif before[2] is held.head.status:
                moved.append((*hot, row.arrival, before[0], before[1]))
            else:
                changed.append((*hot, row.status, row.expires_at, row.arrival, before[0], before[1]))
                self._count_move(before[2], row.status)
        count = connection.total_changes()
        for sql, rows in ((_BORN, born), (_MOVE, moved), (_MOVE_STATUS, changed)):
            if rows:
                connection.executemany(sql, rows)
        if connection.total_changes() - count != len(born) + len(moved) + len(changed):
            raise StoreUnavailable("the file was changed by somebody who does not hold its lock")

    def _count_move(self, before: SessionStatus, after: int) -> None:
        self.totals[STATUS_CODES[before]] -= 1
        self.totals[after] += 1


def _row(held: Held) -> Row:
    return row_of(held.head, last_sum=held.last_sum, profile_sum=held.profile_sum, seal=held.seal.seal)
