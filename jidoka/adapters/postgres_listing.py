"""Listings of the PostgreSQL store: every filter by an index, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jidoka.adapters.durable import Wanted, found_in, owner_key
from jidoka.adapters.postgres_link import Link, Row
from jidoka.adapters.postgres_read import LOAD, Sight
from jidoka.core.coding import terms
from jidoka.core.errors import CorruptRecord
from jidoka.core.headrows import STATUS_CODES, STATUSES
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus

# Where they stand in a row of LOAD.
_SESSION_ID, _ARRIVAL = 0, 1


def heads(link: Link, sight: Sight, wanted: Wanted, after: int, limit: int) -> list[tuple[int, Head]]:
    """Heads in order of arrival, as `Store.heads` promises them."""
    found: list[tuple[int, Head]] = []
    while len(found) < limit:
        missing = limit - len(found)
        statement, parameters = _listing(wanted, sight.secret, after, missing)
        rows = link.rows(statement, parameters, planned_for_these=True) if statement else []
        found += [(head.arrival, head) for head in _heads_in(rows, sight) if wanted.matches(head)]
        if len(rows) < missing:
            break
        after = rows[-1][_ARRIVAL]
    return found


def _heads_in(rows: Sequence[Row], sight: Sight) -> Iterator[Head]:
    """Damage to one of them is told, and leaves the others alone."""
    for row in rows:
        try:
            yield found_in(row, sight.keyring).head
        except CorruptRecord as error:
            sight.left_out(row[_SESSION_ID], error)


def _listing(wanted: Wanted, secret: bytes, after: int, limit: int) -> tuple[str, list[Any]]:
    tables, conditions, parameters = "jidoka_sessions s", ["s.arrival > %s"], list[Any]([after])
    if wanted.owner is not None:
        conditions.append("s.owner = %s")
        parameters.append(owner_key(wanted.owner, secret))
    if wanted.quiet_before is not None:
        conditions.append("s.active_at < %s")
        parameters.append(wanted.quiet_before)
    if wanted.expired_before is not None:
        conditions.append("s.expires_at < %s")
        parameters.append(wanted.expired_before)
    for number, term in enumerate(sorted(set(terms(wanted.metadata or {}, secret)))):
        tables += f" join jidoka_terms t{number} on t{number}.arrival = s.arrival"
        conditions.append(f"t{number}.term = %s")
        parameters.append(term)
    query = f"select s.arrival from {tables} where {' and '.join(conditions)}"
    picked, parameters = _of_statuses(query, parameters, wanted, limit)
    statement = f"{LOAD} join ({picked}) picked using (arrival) order by s.arrival" if picked else ""
    return statement, parameters


def _of_statuses(query: str, parameters: list[Any], wanted: Wanted, limit: int) -> tuple[str, list[Any]]:
    """Where the status says most, each is read in order by its index, and then they are put together."""
    codes = sorted(STATUS_CODES[status] for status in (STATUSES if wanted.statuses is None else wanted.statuses))
    page = "order by arrival limit %s"
    if wanted.owner is not None or wanted.metadata or wanted.expired_before is not None:
        listed = ", ".join(map(str, codes)) or "null"
        return f"{query} and s.status in ({listed}) {page}", [*parameters, limit]
    each = " union all ".join(f"({query} and s.status = {code} {page})" for code in codes)
    return f"select arrival from ({each}) each_status {page}" if each else "", [*parameters, limit] * len(codes) + [
        limit
    ]


def count(link: Link, sight: Sight, owner: str | None) -> dict[SessionStatus, int]:
    """How many there are of each status."""
    who, parameters = ("", ()) if owner is None else ("and owner = %s", (owner_key(owner, sight.secret),))
    rows = link.rows(
        f"select status, count(*) from jidoka_sessions where status >= 0 {who} group by status", parameters
    )
    return {STATUSES[status]: number for status, number in rows}
