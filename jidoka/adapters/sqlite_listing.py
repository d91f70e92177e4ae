"""Listings of the SQLite store: every filter by an index, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jidoka.adapters import sqlite_file as file
from jidoka.adapters.durable import Wanted, found_in, owner_key
from jidoka.adapters.sqlite_read import LOAD, Sight, snapshot
from jidoka.core.coding import terms
from jidoka.core.errors import CorruptRecord
from jidoka.core.headrows import STATUS_CODES, STATUSES
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus


def heads(connection: file.Connection, sight: Sight, wanted: Wanted, after: int, limit: int) -> list[tuple[int, Head]]:
    """Heads in order of arrival, as `Store.heads` promises them."""
    with snapshot(connection):
        found: list[tuple[int, Head]] = []
        while len(found) < limit:
            room = limit - len(found)
            with file.translated(sight.path):
                sql, bindings = _arrivals(connection, sight, wanted, after, room)
                arrivals = [arrival for (arrival,) in file.rows(connection, sql, bindings)]
            listed = _listed(connection, sight, arrivals)
            found += [(head.arrival, head) for head in listed if wanted.matches(head)]
            if len(arrivals) < room:
                break
            after = arrivals[-1]
        return found


def _listed(connection: file.Connection, sight: Sight, arrivals: list[int]) -> Iterator[Head]:
    """The heads of *arrivals*. Damage to one is remembered, and leaves the others alone."""
    try:
        with file.translated(sight.path):
            marks = ", ".join(map(str, arrivals))
            rows = file.rows(connection, f"{LOAD} where s.arrival in ({marks}) order by s.arrival")
    except CorruptRecord as error:
        if len(arrivals) == 1:
            sight.found_damaged(f"arrival {arrivals[0]}", error)
            return
        # A page cannot be read: who is on it is found out one by one.
        for arrival in arrivals:
            yield from _listed(connection, sight, [arrival])
        return
    for columns in rows:
        try:
            sight.refuse_damaged(columns[0])
            yield found_in(columns, sight.keyring).head
        except CorruptRecord as error:
            sight.found_damaged(columns[0], error)


def _arrivals(
    connection: file.Connection, sight: Sight, wanted: Wanted, after: int, limit: int
) -> tuple[str, list[Any]]:
    """The query for arrival numbers: each status by its own index, in order, put together."""
    conditions, bindings = ["s.arrival > ?"], list[Any]([after])
    if wanted.owner is not None:
        conditions.append("s.owner = ?")
        bindings.append(owner_key(wanted.owner, sight.secret))
    if wanted.quiet_before is not None:
        conditions.append("s.active_at < ?")
        bindings.append(wanted.quiet_before)
    if wanted.expired_before is not None:
        conditions.append("s.expires_at < ?")
        bindings.append(wanted.expired_before)
    source = "sessions s"
    for number, term in enumerate(_rarest_first(connection, sight, wanted.metadata)):
        source = f"terms t{number} cross join {source}"
        conditions.append(f"t{number}.term = ? and t{number}.arrival = s.arrival and t{number}.arrival > ?")
        bindings += [term, after]
    where = " and ".join(conditions)
    return _by_status(f"select s.arrival from {source} where {where}", bindings, wanted, limit)


def _by_status(query: str, bindings: list[Any], wanted: Wanted, limit: int) -> tuple[str, list[Any]]:
    if wanted.statuses is None:
        return f"{query} order by s.arrival limit ?", [*bindings, limit]
    codes = sorted(STATUS_CODES[status] for status in wanted.statuses)
    if wanted.owner is not None or wanted.metadata or wanted.expired_before is not None:
        marks = ", ".join("?" * len(codes))
        return f"{query} and s.status in ({marks}) order by s.arrival limit ?", [*bindings, *codes, limit]
    one = f"select * from ({query} and s.status = ? order by s.arrival limit ?)"
    every = " union all ".join([one] * len(codes))
    return f"{every or 'select 0 as arrival where 0'} order by arrival limit ?", [
        *(item for code in codes for item in (*bindings, code, limit)),
        limit,
    ]


def _rarest_first(connection: file.Connection, sight: Sight, metadata: Mapping[str, Any] | None) -> list[int]:
    """The terms to look for; last the one that fewest sessions have, which the join begins with."""
    wanted = sorted(set(terms(metadata or {}, sight.secret)))
    if len(wanted) < 2:
        return wanted
    count = "select count(*) from (select 1 from terms where term = ? limit 10000)"
    return sorted(wanted, key=lambda term: -file.rows(connection, count, (term,))[0][0])


def count(connection: file.Connection, sight: Sight, owner: str | None) -> dict[SessionStatus, int]:
    """How many there are of each status."""
    with file.translated(sight.path):
        if owner is None:
            rows = file.rows(connection, "select status, sessions from totals where sessions > 0")
        else:
            key = owner_key(owner, sight.secret)
            rows = file.rows(
                connection, "select status, count(*) from sessions where owner = ? group by status", (key,)
            )
        return {STATUSES[status]: number for status, number in rows}
