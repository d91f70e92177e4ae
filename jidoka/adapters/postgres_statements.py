"""The statements that write, one for each kind of change, and their parameters.

Each session is changed only if it still is where the writer believed it to be: the same arrival, seq and epoch. So
whatever this process remembers, and whichever statement arrives late, nothing is written that does not follow on.
The answer is the arrival numbers of the sessions that were changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jidoka.adapters.durable import owner_key
from jidoka.adapters.postgres_arrays import blobs, number, numbers
from jidoka.adapters.postgres_batch import PURGED, Change, Kind
from jidoka.core.coding import terms
from jidoka.core.headrows import Row, row_of

_BEFORE: Final = ("arrival_before", "seq_before", "epoch_before")
_MOVED: Final = tuple(name for name in Row._fields if name not in ("session_id", "note"))
_NULLABLE: Final = ("expires_at", "key", "claimed")


def _table(name: str, columns: Sequence[str], beside: str, types: str) -> str:
    """The rows of numbers in one parameter, with the columns *beside* them, of those types, in one more each."""
    read = ", ".join(number(column, columns, may_be_null=_NULLABLE) for column in columns)
    arrays = ", ".join(f"%s::{kind}[]" for kind in types.split())
    source = f"unnest({arrays}) with ordinality as beside ({beside}, i)"
    return f"{name} as (select {read}, {beside} from (select %s::bigint[] as r) rows, {source})"


def _set(*columns: str) -> str:
    return ", ".join(f"{column} = g.{column}" for column in columns)


_PLACES = _table("given", _BEFORE, "note", "bytea")
_MOVES = _table("given", (*_BEFORE, *_MOVED), "note", "bytea")
_BIRTHS = _table("given", (*_BEFORE, *_MOVED), "note, session_id, owner", "bytea text text")
_ENTRIES = _table("entries", ("arrival", "seq", "sum", "key", "claimed"), "body", "bytea")
_PROFILES = _table("profiles", ("arrival",), "profile, wrapped", "bytea bytea")
_NAMES = f"""names as (
    select {number("arrival", ("arrival", "term"))}, {number("term", ("arrival", "term"))}
    from (select %s::bigint[] as r) rows, generate_series(1, cardinality(r) / 2) i
)"""

_AS_BEFORE = "s.arrival = g.arrival_before and s.seq = g.seq_before and s.epoch = g.epoch_before"
_BORN = ", ".join((*_MOVED, "note", "session_id", "owner"))
_GROW = f"""update jidoka_sessions s set {_set(*_MOVED, "note")} from given g
    where {_AS_BEFORE} and s.arrival not in (select arrival from taken)"""
_BEGIN = f"""insert into jidoka_sessions as s ({_BORN}) select {_BORN} from given order by arrival
    on conflict (session_id) do nothing"""
_BEGIN_AGAIN = f"""update jidoka_sessions s set {_set(*_MOVED, "note", "owner")} from given g
    where {_AS_BEFORE} and s.session_id = g.session_id and s.status = {PURGED}"""
_END = f"""update jidoka_sessions s set status = {PURGED}, seq = 0, epoch = s.epoch + 1, messages = 0, characters = 0,
    cycles = 0, expires_at = null, note = null, owner = null from given g where {_AS_BEFORE}"""

# Which entries bring a key that the session has already.
_TAKEN = """taken as materialized (
    select n.arrival from entries n join jidoka_entries e on e.arrival = n.arrival and e.key = n.claimed
)"""
_WRITE = """written as (
    insert into jidoka_entries (arrival, seq, sum, key, body)
    select n.arrival, n.seq, n.sum, n.key, n.body from entries n join held using (arrival)
)"""
_TELL = """told as (
    insert into jidoka_profiles (arrival, profile, wrapped)
    select p.arrival, p.profile, p.wrapped from profiles p join held using (arrival)
    on conflict (arrival) do update set profile = excluded.profile
), named as (
    insert into jidoka_terms (term, arrival) select n.term, n.arrival from names n join held using (arrival)
    on conflict do nothing
), unnamed as (
    delete from jidoka_terms t using held
    where t.arrival = held.arrival
    and not exists (select 1 from names n where n.arrival = t.arrival and n.term = t.term)
)"""
_DELETE = ", ".join(
    f"no_{table} as (delete from jidoka_{table} t using held where t.arrival = held.arrival)"
    for table in ("entries", "profiles", "terms")
)


def _held(change: str) -> str:
    return f"held as ({change} returning s.arrival)"


_PARTS: Final = {
    Kind.GROWS: (_MOVES, _ENTRIES, _TAKEN, _held(_GROW), _WRITE),
    Kind.CHANGES: (_MOVES, _ENTRIES, _PROFILES, _NAMES, _TAKEN, _held(_GROW), _WRITE, _TELL),
    Kind.BEGINS: (_BIRTHS, _ENTRIES, _PROFILES, _NAMES, _held(_BEGIN), _WRITE, _TELL),
    Kind.BEGINS_AGAIN: (_BIRTHS, _ENTRIES, _PROFILES, _NAMES, _held(_BEGIN_AGAIN), _WRITE, _TELL),
    Kind.ENDS: (_PLACES, _held(_END), _DELETE),
}
_STATEMENTS: Final = {kind: f"with {', '.join(parts)} select arrival from held" for kind, parts in _PARTS.items()}


def statement(kind: Kind, changes: Sequence[Change], secret: bytes) -> tuple[str, list[Any]]:
    """One statement for all of *changes*, which are of that kind, and its parameters.

    Rows are taken in order of arrival, so that two processes do not wait for each other in a circle.
    """
    ordered = sorted(changes, key=lambda one: one.before.arrival)
    if kind is Kind.ENDS:
        places = [one.before for one in ordered]
        return _STATEMENTS[kind], [numbers(places), blobs([None] * len(places))]
    rows = [_row(one) for one in ordered]
    parameters: list[Any] = [
        numbers([(*one.before, *row[1:-2], row.row_sum) for one, row in zip(ordered, rows, strict=True)]),
        blobs([row.note for row in rows]),
    ]
    if kind in (Kind.BEGINS, Kind.BEGINS_AGAIN):
        owners = [None if one.after is None else owner_key(one.after.head.owner, secret) for one in ordered]
        parameters += [[row.session_id for row in rows], owners]
    kept = [entry for one in ordered for entry in one.kept]
    parameters += [numbers([entry[:-1] for entry in kept]), blobs([entry.body for entry in kept])]
    if kind is not Kind.GROWS:
        parameters += _told(ordered, secret)
    return _STATEMENTS[kind], parameters


def _row(one: Change) -> Row:
    after = one.after
    assert after is not None
    return row_of(after.head, last_sum=after.last_sum, profile_sum=after.profile_sum, seal=after.seal.seal)


def _told(changes: Sequence[Change], secret: bytes) -> list[Any]:
    """The profiles, and what they are found by."""
    names = [
        (one.arrival, term)
        for one in changes
        if one.after is not None
        for term in sorted(set(terms(one.after.head.metadata, secret)))
    ]
    return [
        numbers([(one.arrival,) for one in changes]),
        blobs([one.profile for one in changes]),
        blobs([one.wrapped for one in changes]),
        numbers(names),
    ]
