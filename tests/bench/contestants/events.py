"""jidoka's hub: one publisher, many subscribers that each iterate over their subscription."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.events import EventType
from jidoka.session import Session
from tests.bench.measures import SECONDS, Figures

BURST = 100


class Crowd:
    """Subscribers that count what they get."""

    def __init__(self, session: Session, size: int) -> None:
        self.size = size
        self.heard = 0
        self.awaited = 0
        self.has_heard = asyncio.Event()
        self._session = session
        self._listening = 0
        self.is_ready = asyncio.Event()

    async def listen(self) -> None:
        async with self._session.subscribe() as events:
            self._listening += 1
            if self._listening == self.size:
                self.is_ready.set()
            async for _ in events:
                self.heard += 1
                if self.heard == self.awaited:
                    self.has_heard.set()

    async def hear(self, publish: Any, batches: list[list[Entry]]) -> None:
        """Publish *batches* one by one, and wait until everybody has heard all of them."""
        self.has_heard.clear()
        self.awaited = self.heard + self.size * len(batches)
        for entries in batches:
            publish(self._session.id, entries)
        await self.has_heard.wait()


async def deliveries(subscribers: int, events: int) -> Figures:
    async with Client() as client:
        session = await client.create_session()
        now = client.house.world.now()
        said = {"id": "message", "role": "user", "content": "something", "metadata": {}}
        crowd = Crowd(session, subscribers)
        async with asyncio.TaskGroup() as group:
            listeners = [group.create_task(crowd.listen()) for _ in range(subscribers)]
            await crowd.is_ready.wait()
            began = perf_counter()
            seconds, seq = 0.0, 3
            while crowd.heard < subscribers * events and seconds < SECONDS:
                batch = [
                    [Entry(seq + number, EventType.CONVERSATION_ADDED, now, said, None, 1)] for number in range(BURST)
                ]
                await crowd.hear(client.house.hub.publish, batch)
                seq += BURST
                seconds = perf_counter() - began
            for listener in listeners:
                listener.cancel()
        return {"rate": crowd.heard / seconds}


WORKS = {"deliveries": deliveries}
