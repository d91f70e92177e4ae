"""One look at whole journals, for every test that has broken something."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from jidoka.core.errors import SessionNotFound
from jidoka.core.wellformed import flaws_of

if TYPE_CHECKING:
    from jidoka.core.entries import Entry
    from jidoka.core.heads import Head
    from jidoka.ports.store import Store

_PAGE = 100


def well_formed(entries: Sequence[Entry], head: Head | None = None) -> None:
    """Raise AssertionError, with all that is wrong, unless *entries* are a whole journal as jidoka writes them.

    That is: no gap, one beginning, no key twice, legal moves of status only, one end for each turn but the open one,
    question and answer together, one result for each tool call, and, with *head*, a head that is what they add up to.
    """
    flaws = flaws_of(entries, head)
    if flaws:
        text = "\n".join(f"  {entry.seq} {entry.type} {entry.data}" for entry in entries[-20:])
        raise AssertionError("\n".join([*flaws, "the journal's last entries:", text]))


async def all_well_formed(store: Store, *, at_rest: bool = False) -> dict[str, list[Entry]]:
    """Every journal of *store*, by session, each looked at as above. With *at_rest* no turn may be open."""
    journals: dict[str, list[Entry]] = {}
    after: int | None = None
    while page := await store.heads(after=after, limit=_PAGE):
        for arrival, listed in page:
            after = arrival
            head, entries = await _at_one_moment(store, listed.session_id)
            if head is None:
                continue
            journals[head.session_id] = entries
            well_formed(entries, head)
            if at_rest and head.turn is not None:
                raise AssertionError(f"turn {head.turn} of session {head.session_id} is still open")
    return journals


async def _at_one_moment(store: Store, session_id: str) -> tuple[Head | None, list[Entry]]:
    """Head and entries that belong together, while somebody may be writing. None once it is purged."""
    while (head := await store.head(session_id)) is not None:
        with suppress(SessionNotFound):
            entries = await store.read(session_id)
            if await store.head(session_id) == head:
                return head, entries
    return None, []
