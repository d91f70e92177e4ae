"""The end of a journal, and what is added to it: read from the store, so that it works from another process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from jidoka.core.errors import SessionNotFound
from jidoka.core.status import SessionStatus

if TYPE_CHECKING:
    from jidoka.core.entries import Entry
    from jidoka.ports.store import Store
    from jidoka.ports.world import World

# Entries that are printed when nobody says from where.
LAST: Final = 10
# Seconds between two looks at a journal that is followed.
EVERY: Final = 0.2
_PAGE: Final = 1_000


async def read_tail(
    store: Store, session_id: str, *, after: int | None, follow: bool, world: World
) -> AsyncGenerator[Entry]:
    """The entries after *after*, or the last few. With *follow* it goes on until the session has ended.

    Raises SessionNotFound, also when it is purged meanwhile.
    """
    while True:
        head = await store.head(session_id)
        if head is None:
            raise SessionNotFound(session_id)
        if after is None:
            after = max(head.seq - LAST, 0)
        while after < head.seq:
            for entry in await store.read(session_id, after=after, limit=min(_PAGE, head.seq - after)):
                yield entry
                after = entry.seq
        if not follow or head.status is SessionStatus.TERMINATED:
            return
        await world.sleep_until(world.monotonic() + EVERY)
