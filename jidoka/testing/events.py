"""A log of what happens, for tests that wait for the thing itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from jidoka.core.events import Event

if TYPE_CHECKING:
    from jidoka.client import Client


class EventLog:
    """Every event that was heard, in order, and a way to wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._read = 0
        self._heard = anyio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._heard.set()
        self._heard = anyio.Event()

    @property
    def types(self) -> list[str]:
        """What was heard, by type."""
        return [event.type for event in self.events]

    async def next(self, type: str | None = None, *, session_id: str | None = None) -> Event:
        """The next event of that kind after the one that this method gave last; waits for it.

        What lies between the two is passed over: ask in the order in which things happen.
        """
        while True:
            while self._read < len(self.events):
                event = self.events[self._read]
                self._read += 1
                if type in (None, event.type) and session_id in (None, event.session_id):
                    return event
            await self._heard.wait()


@asynccontextmanager
async def listening_to(client: Client, session_id: str | None = None) -> AsyncGenerator[EventLog]:
    """A log of one session's events, or of every session's lifecycle."""
    log = EventLog()
    handle = client.house.hub.listen(log, session_id=session_id)
    try:
        yield log
    finally:
        handle.close()
