"""Reads everything there is in a SQLite store, and says what of it cannot be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from jidoka.adapters import sqlite_file as file
from jidoka.adapters.durable import Found
from jidoka.adapters.sqlite_read import Sight, checked, load, snapshot
from jidoka.core.coding import broken, hashed, terms
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.heads import Head
from jidoka.core.views import Damage


def examine(connection: file.Connection, sight: Sight, after: int, limit: int) -> tuple[list[Damage], int | None]:
    """Read everything of the next sessions. What cannot be read is damage, and never an end to looking."""
    found: list[Damage] = []
    with snapshot(connection):
        if not after:
            found += sight.damages.values()
            found += _whole_file(connection, sight)
        try:
            with file.translated(sight.path):
                sql = "select arrival, id from sessions where arrival > ? order by arrival limit ?"
                sessions = file.rows(connection, sql, (after, limit))
        except CorruptRecord as error:
            return [*found, Damage(session_id=None, text=str(error))], None
        for arrival, session_id in sessions:
            if session_id not in sight.damages:
                found += examine_one(connection, sight, arrival, session_id)
    return found, sessions[-1][0] if len(sessions) == limit else None


def _whole_file(connection: file.Connection, sight: Sight) -> Iterator[Damage]:
    try:
        with file.translated(sight.path):
            said = [text for (text,) in file.rows(connection, "pragma integrity_check(100)")]
            counted = dict(file.rows(connection, "select status, count(*) from sessions group by status"))
            totals = dict(file.rows(connection, "select status, sessions from totals where sessions != 0"))
    except CorruptRecord as error:
        yield Damage(session_id=None, text=str(error))
        return
    if said != ["ok"]:
        yield from (Damage(session_id=None, text=text) for text in said)
    if counted != totals:
        yield Damage(session_id=None, text="the numbers of sessions by status do not add up")


def examine_one(connection: file.Connection, sight: Sight, arrival: int, session_id: str) -> Iterator[Damage]:
    """What is wrong with one session."""
    try:
        found = load(connection, sight, session_id)
        if found is None or found.head.arrival != arrival:
            raise broken(session_id, None, None, "it is not found by its id")
        with file.translated(sight.path, session_id=session_id):
            entries = checked(connection, found, 0, None)
        folded = Head.of(session_id, entries)
        folded.arrival, folded.epoch = arrival, found.head.epoch
        if folded != found.head:
            raise broken(session_id, None, None, "its row is not what its entries add up to")
        with file.translated(sight.path, session_id=session_id):
            _check_indexes(connection, sight, found, entries)
    except CorruptRecord as error:
        first, last = error.first_seq, error.last_seq
        if first is None:
            first, last = _unreadable(connection, sight, arrival)
        yield Damage(session_id=session_id, first_seq=first, last_seq=last, text=str(error))


def _check_indexes(connection: file.Connection, sight: Sight, found: Found, entries: list[Entry]) -> None:
    arrival, session_id = found.head.arrival, found.head.session_id
    keyed = {(entry.seq, hashed(entry.key, sight.secret)) for entry in entries if entry.key is not None}
    kept = set(file.rows(connection, "select seq, key from keys where session = ?", (arrival,)))
    if keyed != kept:
        raise broken(session_id, None, None, "its idempotency keys are not those of its entries")
    for term in terms(found.head.metadata, sight.secret):
        if not file.rows(connection, "select 1 from terms where term = ? and arrival = ?", (term, arrival)):
            raise broken(session_id, None, None, "it is not found by its metadata")


def _unreadable(connection: file.Connection, sight: Sight, arrival: int) -> tuple[int | None, int | None]:
    """Which entries cannot be read, each tried by itself."""
    try:
        with file.translated(sight.path):
            (last,) = file.rows(connection, "select seq from sessions where arrival = ?", (arrival,))[0]
    except (CorruptRecord, IndexError):
        return None, None
    bad: list[int] = []
    for seq in range(1, last + 1):
        try:
            with file.translated(sight.path):
                rows = file.rows(connection, "select body from entries where session = ? and seq = ?", (arrival, seq))
        except CorruptRecord:
            rows = []
        if not rows:
            bad.append(seq)
    return (bad[0], bad[-1]) if bad else (None, None)
