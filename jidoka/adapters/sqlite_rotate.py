"""Sessions' keys, wrapped anew: a few at a time, so that nobody waits, and so that it can be stopped and go on."""

from __future__ import annotations

from jidoka.adapters import sqlite_file as file
from jidoka.adapters.sqlite_read import Sight


def rotated(connection: file.Connection, sight: Sight, after: int, limit: int) -> int | None:
    """Look at *limit* sessions after *after*, and wrap their keys anew where an older master key has wrapped them."""
    keyring, arrival = sight.keyring, after
    looked_at = file.rows(connection, _NEXT, (after, limit))
    for arrival, session_id, wrapped in looked_at:
        if wrapped is not None and not wrapped.startswith(keyring.mark):
            anew = keyring.wrapped_anew(session_id, wrapped)
            connection.execute("update profiles set wrapped = ? where arrival = ?", (anew, arrival))
    return arrival if len(looked_at) == limit else None


_NEXT = (
    "select arrival, id, wrapped from profiles join sessions using (arrival) where arrival > ? order by arrival limit ?"
)
