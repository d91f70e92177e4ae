"""What several stories need: clients with stand-ins in them, and short words for long waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.errors import JidokaError, SessionNotFound
from jidoka.core.events import Event
from jidoka.core.heads import Head
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.hub.subscription import Subscription
from jidoka.session import Session
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.faulty_store import FaultyStore
from jidoka.testing.wellformed import all_well_formed, well_formed
from jidoka.testing.world import VirtualWorld

# Far more than anything here takes: only a hang is as slow.
PATIENCE = 20
# So many journals are looked at after each test.
FEW = 1_000


@asynccontextmanager
async def a_client(
    store: Any = "memory://",
    *,
    models: Any = None,
    tools: Any = (),
    world: VirtualWorld | None = None,
    **settings: Any,
) -> AsyncIterator[Client]:
    """One with other stand-ins or settings than the fixture's, and with the same inspection at the end."""
    chosen = Settings(**settings) if settings else None
    async with (
        Client(store, models=models, tools=tools, settings=chosen, world=world or VirtualWorld()) as client,
        nothing_left_behind(client),
    ):
        yield client
        await purge_everything(client)


async def purge_everything(client: Client) -> None:
    """End every session that there still is. Whatever a test has done to them, their journals are well formed."""
    if sum((await client.house.store.count()).values()) <= FEW:
        await all_well_formed(client.house.store)
    with anyio.fail_after(PATIENCE):
        while found := await client.list_sessions(status=list(SessionStatus), limit=1000):  # pyright: ignore
            for info in found:
                try:
                    await client.terminate_session(info.session_id, purge=True)
                except SessionNotFound:
                    continue


async def all_of(calls: Iterable[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """What becomes of *calls*, made at the same time: an answer, or a JidokaError, each in its place."""
    waiting = list(calls)
    outcomes: list[Any] = [None] * len(waiting)

    async def one(number: int) -> None:
        try:
            outcomes[number] = await waiting[number]()
        except JidokaError as error:
            outcomes[number] = error

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for number in range(len(waiting)):
                tasks.start_soon(one, number)
    return outcomes


async def journal(client: Client, session: Session) -> list[Entry]:
    """Everything that has happened to a session, ended or not, as jidoka writes it."""
    entries = await client.house.store.read(session.id)
    well_formed(entries)
    return entries


async def types_of(client: Client, session: Session) -> list[str]:
    """The types of everything that has happened to a session."""
    return [str(entry.type) for entry in await journal(client, session)]


async def moves(client: Client, session: Session) -> list[str]:
    """Every status that a session has had."""
    return [entry.data["status"] for entry in await journal(client, session) if entry.type == "session_status"]


async def said(session: Session) -> list[tuple[str, str]]:
    """The history: who, and what."""
    return [(message.role, message.content) for message in await session.get_history()]


async def take(events: Subscription, count: int) -> list[Event]:
    """The next *count* events."""
    with anyio.fail_after(PATIENCE):
        return [await anext(events) for _ in range(count)]


async def rest(events: Subscription) -> list[Event]:
    """All events up to the end, which must come."""
    with anyio.fail_after(PATIENCE):
        return [event async for event in events]


async def waiting_now(events: Subscription) -> list[Event]:
    """The events that are there without waiting for any."""
    found: list[Event] = []

    async def collect() -> None:
        async for event in events:
            found.append(event)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    return found


class HeldStore(MemoryStore):
    """A memory store whose calls can be held up, before they take effect or after."""

    never_waits = False

    def __init__(self) -> None:
        super().__init__()
        self._holds: dict[tuple[str, str, str], Hold] = {}

    def hold(self, session_id: str, call: str = "append", *, when: str = "before") -> Hold:
        """The next such call waits until the hold is released. Those after it do not."""
        hold = self._holds[session_id, call, when] = Hold()
        return hold

    async def _wait(self, session_id: str, call: str, when: str) -> None:
        hold = self._holds.pop((session_id, call, when), None)
        if hold is not None:
            hold.reached.set()
            await hold.released.wait()

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        await self._wait(session_id, "append", "before")
        head = await super().append(session_id, entries, expected_seq=expected_seq)
        await self._wait(session_id, "append", "after")
        return head

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        await self._wait(session_id, "claim", "before")
        head = await super().claim(session_id, expected_epoch=expected_epoch)
        await self._wait(session_id, "claim", "after")
        return head

    async def purge(self, session_id: str) -> None:
        await self._wait(session_id, "purge", "before")
        await super().purge(session_id)
        await self._wait(session_id, "purge", "after")

    async def heads(self, **filters: Any) -> list[tuple[int, Head]]:
        """Of no session in particular."""
        found = await super().heads(**filters)
        await self._wait("", "heads", "after")
        return found


class Hold:
    """`reached` is set when the call has come so far; `released` lets it go on."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self.released = anyio.Event()


class Shared(FaultyStore):
    """A store that is open for several clients: whoever opened it closes it."""

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass
