"""A hub on a memory store, and a way to commit and tell."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.core.entries import Entry
from jidoka.core.events import Event, EventType, live_event
from jidoka.hub.hub import EventHub
from jidoka.hub.subscription import Subscription
from jidoka.testing.entries import birth
from jidoka.testing.world import VirtualWorld

SESSION = "session_1"


@dataclass
class House:
    """Who commits, and tells."""

    world: VirtualWorld = field(default_factory=VirtualWorld)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.hub = EventHub(self.store, self.world)

    async def born(self, session_id: str = SESSION) -> None:
        """A session with two entries."""
        entries = birth()
        await self.store.append(session_id, entries, expected_seq=0)
        self.hub.publish(session_id, entries)

    async def commit(
        self, count: int = 1, *, session_id: str = SESSION, type: str = "turn_cancelled", **more: Any
    ) -> list[Entry]:
        """Entries in the journal that nobody was told of yet."""
        if not count:
            return []
        head = await self.store.head(session_id)
        assert head is not None
        data: dict[str, Any] = {"turn_id": "t", **more}
        entries = [
            Entry(seq, type, self.world.now(), data, None, 1) for seq in range(head.seq + 1, head.seq + 1 + count)
        ]
        await self.store.append(session_id, entries, expected_seq=head.seq)
        return entries

    async def say(
        self, count: int = 1, *, session_id: str = SESSION, type: str = "turn_cancelled", **more: Any
    ) -> None:
        """Commit, then tell."""
        self.hub.publish(session_id, await self.commit(count, session_id=session_id, type=type, **more))

    def whisper(self, text: str = "", *, session_id: str = SESSION) -> None:
        """Tell something that is in no journal."""
        data = {"text": text}
        id, now = self.world.new_id(), self.world.now()
        self.hub.publish_live(live_event(session_id, EventType.OUTPUT_RECEIVED, data, id=id, at=now))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    await house.born()
    yield house
    house.hub.close()


async def take(subscription: Subscription, count: int) -> list[Event]:
    """The next *count* events."""
    with anyio.fail_after(5):
        return [await anext(subscription) for _ in range(count)]


async def rest(subscription: Subscription) -> list[Event]:
    """What comes before the end, which must come."""
    with anyio.fail_after(5):
        return [event async for event in subscription]
