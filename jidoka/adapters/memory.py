"""Journals in this process's memory: quick, and gone with it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from jidoka.core.admission import not_whole, refusal, refusal_to_begin, stamped
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, Fenced, InvalidMessage, SessionExists, SessionNotFound
from jidoka.core.heads import Head
from jidoka.core.merge import has_members
from jidoka.core.status import SessionStatus
from jidoka.core.views import Damage
from jidoka.ports.store import Statuses

# Sessions are counted by status in blocks of this many arrivals, so that a listing skips what it does not want.
BLOCK: Final = 512


class _Journal:
    """One session's entries, and what they add up to."""

    __slots__ = ("entries", "head", "keys")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.entries: list[Entry] = []
        # Index of the entry that has the key. Only a session that uses keys pays for it.
        self.keys: dict[str, int] | None = None

    def find(self, key: str) -> Entry | None:
        """The entry that has the key."""
        if self.keys is None or key not in self.keys:
            return None
        return self.entries[self.keys[key]]


class MemoryStore:
    """A `Store` without a file. Its methods never suspend."""

    never_waits: bool = True
    known_damage: Sequence[Damage] = ()

    def __init__(self) -> None:
        self._journals: dict[str, _Journal] = {}
        # The epoch that a purged session's next life begins with.
        self._tombstones: dict[str, int] = {}
        # By arrival number, from 1. A purged session leaves a hole.
        self._arrivals: list[_Journal | None] = []
        self._blocks: list[dict[SessionStatus, int]] = []
        self._owned: dict[str, list[int]] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore: {len(self._journals)} sessions>"

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    # --- one journal ----------------------------------------------------------------------------

    async def entry_with(self, session_id: str, key: str) -> Entry | None:
        journal = self._journals.get(session_id)
        return None if journal is None else journal.find(key)

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        journal = self._journals.get(session_id)
        if journal is None:
            return None
        if expected_epoch not in (None, journal.head.epoch):
            raise Fenced(epoch=expected_epoch, current=journal.head.epoch)
        journal.head.epoch += 1
        return journal.head.copy()

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        journal = self._journals.get(session_id)
        if journal is None:
            return self._create(session_id, entries, expected_seq)
        head, keys = journal.head, journal.keys
        seq, epoch = expected_seq, head.epoch
        fits = head.seq == seq and seq and entries
        for entry in entries:
            seq += 1
            if entry.seq != seq or entry.epoch != epoch or (entry.key is not None and keys and entry.key in keys):
                fits = False
                break
        if not fits:
            refused = refusal(head, entries, expected_seq, journal.find)
            if refused is not None:
                raise refused
        return self._commit(journal, entries)

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        journal = self._journals.get(session_id)
        if journal is None:
            raise SessionNotFound(session_id)
        return journal.entries[after : None if limit is None else after + limit]

    async def head(self, session_id: str) -> Head | None:
        journal = self._journals.get(session_id)
        return None if journal is None else journal.head.copy()

    async def purge(self, session_id: str) -> None:
        journal = self._journals.pop(session_id, None)
        if journal is None:
            return
        head = journal.head
        self._tombstones[session_id] = head.epoch + 1
        self._arrivals[head.arrival - 1] = None
        self._count(head.arrival, head.status, -1)
        if head.owner is not None:
            self._disown(head.owner, head.arrival)

    def _create(self, session_id: str, entries: Sequence[Entry], expected_seq: int) -> Head:
        epoch = self._tombstones.get(session_id)
        refused = refusal_to_begin(session_id, entries, expected_seq, epoch)
        if refused is not None:
            raise refused
        return self._begin(session_id, stamped(entries, epoch or 1)).copy()

    async def adopt(self, session_id: str, entries: Sequence[Entry], *, epoch: int) -> Head:
        if session_id in self._journals:
            raise SessionExists(session_id)
        refused = not_whole(entries)
        if refused is not None:
            raise refused
        head = self._begin(session_id, entries)
        head.epoch = epoch
        return head.copy()

    def _begin(self, session_id: str, entries: Sequence[Entry]) -> Head:
        journal = _Journal(Head(session_id, arrival=len(self._arrivals) + 1))
        _fold(journal, entries)
        self._tombstones.pop(session_id, None)
        self._journals[session_id] = journal
        self._arrivals.append(journal)
        head = journal.head
        self._count(head.arrival, head.status, 1)
        if head.owner is not None:
            self._owned.setdefault(head.owner, []).append(head.arrival)
        return head

    def _commit(self, journal: _Journal, entries: Sequence[Entry]) -> Head:
        head, before = journal.head, journal.head.status
        _fold(journal, entries)
        if journal.head.status is not before:
            self._count(head.arrival, before, -1)
            self._count(head.arrival, journal.head.status, 1)
        return journal.head.copy()

    # --- all of them ----------------------------------------------------------------------------

    async def heads(
        self,
        *,
        status: Statuses | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        quiet_before: datetime | None = None,
        expired_before: datetime | None = None,
        after: int | None = None,
        limit: int,
    ) -> list[tuple[int, Head]]:
        wanted = _statuses(status)
        found: list[tuple[int, Head]] = []
        for journal in self._owned_by(owner, after or 0) if owner is not None else self._in_order(wanted, after or 0):
            head = journal.head
            if wanted is not None and head.status not in wanted:
                continue
            if metadata and not has_members(head.metadata, metadata):
                continue
            if quiet_before is not None and head.last_activity_at >= quiet_before:
                continue
            if expired_before is not None and not (head.expires_at and head.expires_at < expired_before):
                continue
            if len(found) >= limit:
                break
            found.append((head.arrival, head.copy()))
        return found

    async def count(self, *, owner: str | None = None) -> dict[SessionStatus, int]:
        if owner is not None:
            return dict(Counter(journal.head.status for journal in self._owned_by(owner, 0)))
        total: Counter[SessionStatus] = Counter()
        for block in self._blocks:
            total.update(block)
        return dict(total)

    async def examine(self, *, after: int = 0, limit: int = 100) -> tuple[list[Damage], int | None]:
        journals = [journal for journal in self._arrivals[after : after + limit] if journal is not None]
        reached = after + limit
        return [bad for bad in map(_damage, journals) if bad], reached if reached < len(self._arrivals) else None

    def _owned_by(self, owner: str, after: int) -> Iterator[_Journal]:
        arrivals = self._owned.get(owner, [])
        for arrival in arrivals[bisect_right(arrivals, after) :]:
            journal = self._arrivals[arrival - 1]
            if journal is not None:
                yield journal

    def _in_order(self, wanted: frozenset[SessionStatus] | None, after: int) -> Iterator[_Journal]:
        start = after
        for number in range(after // BLOCK, len(self._blocks)):
            end = (number + 1) * BLOCK
            block = self._blocks[number]
            if block if wanted is None else not wanted.isdisjoint(block):
                for journal in self._arrivals[start:end]:
                    if journal is not None:
                        yield journal
            start = end

    def _count(self, arrival: int, status: SessionStatus, by: int) -> None:
        number = (arrival - 1) // BLOCK
        if number == len(self._blocks):
            self._blocks.append({})
        block = self._blocks[number]
        count = block.get(status, 0) + by
        if count:
            block[status] = count
        else:
            del block[status]

    def _disown(self, owner: str, arrival: int) -> None:
        arrivals = self._owned[owner]
        del arrivals[bisect_left(arrivals, arrival)]
        if not arrivals:
            del self._owned[owner]


def _statuses(status: Statuses | None) -> frozenset[SessionStatus] | None:
    if status is None:
        return None
    return frozenset((status,) if isinstance(status, str) else status)


def _fold(journal: _Journal, entries: Sequence[Entry]) -> None:
    """Take in *entries*, or none of them."""
    head, size = journal.head, len(journal.entries)
    try:
        for entry in entries:
            head.apply(entry)
            if entry.key is not None:
                _remember(journal, entry)
    except Exception:
        journal.head = _refolded(head, journal.entries)
        journal.keys = {entry.key: entry.seq - 1 for entry in journal.entries if entry.key is not None} or None
        raise
    journal.entries[size:] = entries


def _remember(journal: _Journal, entry: Entry) -> None:
    if journal.keys is None:
        journal.keys = {}
    assert entry.key is not None
    if entry.key in journal.keys:
        raise InvalidMessage("the same key is on two of the entries", field="key")
    journal.keys[entry.key] = entry.seq - 1


def _refolded(head: Head, entries: list[Entry]) -> Head:
    again = Head(head.session_id, arrival=head.arrival)
    for entry in entries:
        again.apply(entry)
    again.epoch = head.epoch
    return again


def _damage(journal: _Journal) -> Damage | None:
    head = journal.head
    try:
        sound = _refolded(head, journal.entries) == head
    except CorruptRecord as error:
        return Damage(session_id=head.session_id, text=str(error))
    return None if sound else Damage(session_id=head.session_id, text="the head is not what the entries add up to")
