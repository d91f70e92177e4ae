"""Whether entries may be appended to a journal: one answer for all stores, and one order of the reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jidoka.core.entries import Entry
from jidoka.core.errors import (
    DuplicateKey,
    Fenced,
    InvalidMessage,
    JidokaError,
    SessionExists,
    SessionNotFound,
    StaleSequence,
    Tombstoned,
)
from jidoka.core.events import EventType
from jidoka.core.heads import Head


def refusal(
    head: Head, entries: Sequence[Entry], expected_seq: int, find: Callable[[str], Entry | None]
) -> JidokaError | None:
    """Why *entries* cannot follow *head*, the first reason first; None if they can. *find* looks a key up."""
    for entry in entries:
        if entry.key is not None and (found := find(entry.key)) is not None:
            return DuplicateKey(found)
    if not expected_seq:
        return SessionExists(head.session_id)
    for entry in entries:
        if entry.epoch != head.epoch:
            return Fenced(epoch=entry.epoch, current=head.epoch)
    if expected_seq != head.seq:
        return StaleSequence(expected_seq=expected_seq, head_seq=head.seq)
    return _disorder(entries, expected_seq)


def refusal_to_begin(
    session_id: str, entries: Sequence[Entry], expected_seq: int, tombstone: int | None
) -> JidokaError | None:
    """Why *entries* cannot begin a journal where there is none. *tombstone* is the epoch in which one would begin."""
    if expected_seq:
        return SessionNotFound(session_id) if tombstone is None else Tombstoned(session_id)
    return not_whole(entries)


def not_whole(entries: Sequence[Entry]) -> JidokaError | None:
    """Why *entries* are no journal from its beginning; None if they are."""
    if not entries or entries[0].type != EventType.SESSION_CREATED:
        return InvalidMessage("a journal begins with session_created", field="entries")
    return _disorder(entries, 0)


def stamped(entries: Sequence[Entry], epoch: int) -> list[Entry]:
    """*entries* of a new journal, whose epoch the store decides."""
    return [entry if entry.epoch == epoch else entry._replace(epoch=epoch) for entry in entries]


def _disorder(entries: Sequence[Entry], seq: int) -> JidokaError | None:
    if not entries:
        return InvalidMessage("there is nothing to append", field="entries")
    keys: set[str] = set()
    for number, entry in enumerate(entries, start=seq + 1):
        if entry.seq != number:
            return InvalidMessage(f"the entry after {number - 1} is {number}, not {entry.seq}", field="entries")
        if entry.key is not None:
            if entry.key in keys:
                return InvalidMessage("the same key is on two of the entries", field="key")
            keys.add(entry.key)
    return None
