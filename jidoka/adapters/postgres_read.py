"""Looking into PostgreSQL. An answer is one statement, so it shows one moment, and is checked before it is given."""

from __future__ import annotations

import logging

from jidoka.adapters.durable import Found, found_in
from jidoka.adapters.postgres_link import Link
from jidoka.core.chains import checked
from jidoka.core.coding import broken, first_sum, hashed, terms
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, SessionNotFound
from jidoka.core.headrows import Row
from jidoka.core.heads import Head
from jidoka.core.views import Damage
from jidoka.ports.sealing import Keyring, Open

log = logging.getLogger("jidoka.store")

_COLUMNS = ", ".join(f"s.{name}" for name in Row._fields)
LOAD = f"select {_COLUMNS}, p.profile, p.wrapped from jidoka_sessions s left join jidoka_profiles p using (arrival)"
_WIDTH = len(Row._fields) + 2


class Sight:
    """What one needs to know to look: the keys, and what has been found damaged so far, by session."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self.keyring: Keyring = keyring or Open()
        self.damages: dict[str, Damage] = {}

    @property
    def secret(self) -> bytes:
        """What hides that which is looked up."""
        return self.keyring.secret

    def unlock(self, link: Link) -> None:
        """Get the keys ready, with what the database keeps of them; one process at a time. Raises StoreUnavailable."""
        with link.alone():
            anew = self.look_up_keys(link)
            if anew is not None:
                link.rows(_KEEP_KEYS, (anew,))

    def look_up_keys(self, link: Link) -> bytes | None:
        """Get the keys ready; what the database is to keep of them, if that is new. Raises StoreUnavailable."""
        kept = next((value for (value,) in link.rows("select value from jidoka_vault where name = 'keys'")), None)
        is_new = not link.rows("select 1 from jidoka_sessions limit 1")
        return self.keyring.unlock(kept, is_new=is_new)

    def left_out(self, session_id: str, damage: CorruptRecord) -> None:
        """Remember a session that a listing has left out."""
        if session_id not in self.damages:
            log.error("a session is left out of a listing: %s", damage)
            self.damages[session_id] = Damage(session_id=session_id, text=str(damage))


_KEEP_KEYS = """insert into jidoka_vault (name, value) values ('keys', %s)
    on conflict (name) do update set value = excluded.value"""


# --- one session ----------------------------------------------------------------------------------


def head(link: Link, sight: Sight, session_id: str) -> Head | None:
    """The session's head. None when there is no such session."""
    rows = link.rows(f"{LOAD} where s.session_id = %s and s.status >= 0", (session_id,))
    return found_in(rows[0], sight.keyring).head if rows else None


def read(link: Link, sight: Sight, session_id: str, after: int, limit: int | None) -> list[Entry]:
    """Entries, as `Store.read` promises them."""
    found, kept = _journal(link, sight, session_id, after, limit)
    if found is None:
        raise SessionNotFound(session_id)
    return _checked(found, kept, after, limit)


def _journal(
    link: Link, sight: Sight, session_id: str, after: int, limit: int | None
) -> tuple[Found | None, list[tuple[int, int, bytes]]]:
    """The head, and what is kept of the entries, beginning with the one before those that are wanted."""
    last = None if limit is None else after + limit
    rows = link.rows(_JOURNAL, (session_id, after, last))
    kept = sorted(row[_WIDTH:] for row in rows if row[0] is None)
    heads = [row[:_WIDTH] for row in rows if row[0] is not None]
    return (found_in(heads[0], sight.keyring) if heads else None), kept


def _checked(found: Found, kept: list[tuple[int, int, bytes]], after: int, limit: int | None) -> list[Entry]:
    head = found.head
    last = head.seq if limit is None else min(head.seq, after + limit)
    if after >= last:
        return []
    sum_before = first_sum(head.session_id)
    if after:
        if not kept or kept[0][0] != after:
            raise broken(head.session_id, after, after, "missing")
        _, sum_before, _ = kept.pop(0)
    return checked(
        head.session_id,
        kept,
        after=after,
        sum_before=sum_before,
        last=last,
        last_sum=found.last_sum if last == head.seq else None,
        unseal=found.unseal,
    )


# The head comes once, in a row of its own: its profile may be large.
_JOURNAL = f"""
    with found as materialized ({LOAD} where s.session_id = %s and s.status >= 0)
    select found.*, null::bigint, null::bigint, null::bytea from found
    union all
    select {", ".join(["null"] * _WIDTH)}, e.seq, e.sum, e.body from jidoka_entries e, found
    where e.arrival = found.arrival and e.seq between %s and coalesce(%s, found.seq)
"""


def entry_with(link: Link, sight: Sight, session_id: str, key: str) -> Entry | None:
    """The entry that has the key."""
    for *columns, seq, sum, body, sum_before in link.rows(_BY_KEY, (hashed(key, sight.secret), session_id)):
        found = found_in(columns, sight.keyring)
        before = [(seq - 1, sum_before, b"")] if seq > 1 else []
        (entry,) = _checked(found, [*before, (seq, sum, body)], seq - 1, 1)
        if entry.key == key:
            return entry
    return None


_BY_KEY = f"""
    select {_COLUMNS}, p.profile, p.wrapped, e.seq, e.sum, e.body, coalesce(before.sum, -1)
    from jidoka_sessions s join jidoka_entries e on e.arrival = s.arrival and e.key = %s
    left join jidoka_profiles p on p.arrival = s.arrival
    left join jidoka_entries before on before.arrival = e.arrival and before.seq = e.seq - 1
    where s.session_id = %s and s.status >= 0 order by e.seq
"""


# --- looking for damage ---------------------------------------------------------------------------


def examine(link: Link, sight: Sight, after: int, limit: int) -> tuple[list[Damage], int | None]:
    """Read everything of the next sessions. What cannot be read is damage, and never an end to looking."""
    sessions = link.rows(
        "select arrival, session_id from jidoka_sessions where arrival > %s and status >= 0 order by arrival limit %s",
        (after, limit),
    )
    found = [damage for _, session_id in sessions if (damage := _examine_one(link, sight, session_id)) is not None]
    return found, sessions[-1][0] if len(sessions) == limit else None


def _examine_one(link: Link, sight: Sight, session_id: str) -> Damage | None:
    try:
        with link.snapshot():
            found, kept = _journal(link, sight, session_id, 0, None)
            if found is not None:
                _check_whole(link, sight, found, _checked(found, kept, 0, None))
    except CorruptRecord as error:
        return Damage(session_id=session_id, first_seq=error.first_seq, last_seq=error.last_seq, text=str(error))
    return None


def _check_whole(link: Link, sight: Sight, found: Found, entries: list[Entry]) -> None:
    head = found.head
    folded = Head.of(head.session_id, entries)
    folded.arrival, folded.epoch = head.arrival, head.epoch
    if folded != head:
        raise broken(head.session_id, None, None, "its row is not what its entries add up to")
    keys = {(entry.seq, hashed(entry.key, sight.secret)) for entry in entries if entry.key is not None}
    if keys != set(link.rows(_KEYS, (head.arrival,))):
        raise broken(head.session_id, None, None, "its idempotency keys are not those of its entries")
    names = {(term,) for term in terms(head.metadata, sight.secret)}
    if names != set(link.rows(_TERMS, (head.arrival,))):
        raise broken(head.session_id, None, None, "it is not found by its metadata")
    if link.rows(_BEYOND, (head.arrival, head.seq)):
        raise broken(head.session_id, None, None, "it has entries that its head does not know of")


_KEYS = "select seq, key from jidoka_entries where arrival = %s and key is not null"
_TERMS = "select term from jidoka_terms where arrival = %s"
_BEYOND = "select 1 from jidoka_entries where arrival = %s and seq > %s limit 1"


# --- keys -----------------------------------------------------------------------------------------


def rotate(link: Link, sight: Sight, after: int, limit: int) -> int | None:
    """Wrap the keys anew of the next sessions where an older master key has wrapped them."""
    keyring, arrival = sight.keyring, after
    looked_at = link.rows(_WRAPPED, (after, limit))
    for arrival, session_id, wrapped in looked_at:
        if wrapped is not None and not wrapped.startswith(keyring.mark):
            anew = keyring.wrapped_anew(session_id, wrapped)
            link.rows("update jidoka_profiles set wrapped = %s where arrival = %s", (anew, arrival))
    return arrival if len(looked_at) == limit else None


_WRAPPED = """
    select arrival, s.session_id, p.wrapped from jidoka_profiles p join jidoka_sessions s using (arrival)
    where arrival > %s order by arrival limit %s
"""
