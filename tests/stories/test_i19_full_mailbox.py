"""I19: a session that is stalled takes so many messages and refuses the rest at once; control gets through."""

import gc
import os
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.errors import MailboxFull
from jidoka.core.errors import JidokaError
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import a_client, all_of, said, types_of
from tests.stories.stores import STORES, StalledStore

CAPACITY = 1_000


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StalledStore:
    return StalledStore(STORES[request.param](tmp_path))


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Flood:
    """Many sends to one session, each by somebody else, and what has become of each."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.outcomes: Counter[str] = Counter()
        self.accepted: list[str] = []
        self.slowest = 0.0

    async def send(self, number: int) -> None:
        began = time.perf_counter()
        try:
            await self.session.send_message("user", f"{number}")
            self.accepted.append(f"{number}")
        except MailboxFull:
            self.slowest = max(self.slowest, time.perf_counter() - began)
            self.outcomes["refused"] += 1
        except JidokaError as error:
            self.outcomes[type(error).__name__] += 1

    async def rise(self, tasks: Any, count: int) -> None:
        for start in range(0, count, 1000):
            for number in range(start, min(start + 1000, count)):
                tasks.start_soon(self.send, number)
            await anyio.lowlevel.checkpoint()


async def test_of_100_000_sends_to_a_stalled_session_so_many_are_accepted_and_none_of_those_is_lost(
    store: StalledStore,
) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=CAPACITY) as client:
        session = await client.create_session()
        store.stalled.add(session.id)
        flood = Flood(session)
        gc.collect()
        before = resident()

        async with anyio.create_task_group() as tasks:
            # The one in hand, as many as may wait, and then those who are told at once.
            tasks.start_soon(flood.send, -1)
            await store.reached.wait()
            await flood.rise(tasks, CAPACITY)
            await anyio.wait_all_tasks_blocked()
            for number in range(CAPACITY, 100_000 - 1):
                await flood.send(number)
            refused, grown = flood.outcomes["refused"], resident() - before
            store.released.set()

        assert refused == 100_000 - CAPACITY - 1
        assert grown <= 20_000_000
        # Generous: what counts is that nobody waited for anything.
        assert flood.slowest <= 1.0
        assert sorted(content for _, content in await said(session)) == sorted(flood.accepted)
        assert len(flood.accepted) == 100_000 - refused
        assert flood.outcomes.keys() == {"refused"}


@pytest.mark.parametrize("kill", [kill_supervisor, lambda s: kill_child(s, "context_manager")], ids=["tree", "context"])
async def test_what_was_accepted_survives_a_kill(store: StalledStore, kill: Any) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=100) as client:
        session = await client.create_session()
        store.stalled.add(session.id)
        flood = Flood(session)

        async with anyio.create_task_group() as tasks:
            await flood.rise(tasks, 1_000)
            await store.reached.wait()
            await kill(session)
            await flood.rise(tasks, 1_000)
            store.released.set()

        assert sorted(content for _, content in await said(session)) == sorted(flood.accepted)
        assert flood.outcomes.keys() == {"refused"}
        assert 100 <= len(flood.accepted) <= 101


async def test_a_session_that_hangs_on_its_way_back_is_bounded_too(store: StalledStore) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=100) as client:
        session = await client.create_session()
        await session.suspend()
        store.stalled.add(session.id)
        flood = Flood(session)

        async with anyio.create_task_group() as tasks:
            await flood.rise(tasks, 1_000)
            await store.reached.wait()
            await anyio.wait_all_tasks_blocked()
            assert flood.outcomes == {"refused": 900}
            store.released.set()

        assert sorted(content for _, content in await said(session)) == sorted(flood.accepted)
        assert len(flood.accepted) == 100


async def test_looking_and_killing_get_through_a_full_mailbox(store: StalledStore) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=10) as client:
        session, other = await client.create_session(), await client.create_session()
        store.stalled.add(session.id)
        flood = Flood(session)

        async with anyio.create_task_group() as tasks:
            await flood.rise(tasks, 100)
            await store.reached.wait()
            with anyio.fail_after(1):
                assert (await session.info()).status is SessionStatus.ACTIVE
                assert (await client.health()).is_ok
                assert (await client.stats()).active_sessions == 2
                assert len(await session.which_children()) == 2
                assert (await client.supervision_tree()).children
                assert await session.cancel_turn() is False
                await other.send_message("user", "served")
                await kill_child(session, "context_manager")
            store.released.set()

        assert len(await said(session)) == len(flood.accepted)


async def test_a_halt_is_the_next_to_be_handled_however_many_wait(store: StalledStore) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=10) as client:
        session = await client.create_session()
        store.stalled.add(session.id)
        flood = Flood(session)

        async with anyio.create_task_group() as tasks:
            await flood.rise(tasks, 100)
            await store.reached.wait()
            tasks.start_soon(partial(session.halt, reason="stop the line"))
            await anyio.wait_all_tasks_blocked()
            store.released.set()

        types = (await types_of(client, session))[2:]
        assert types[:3] == ["conversation_added", "session_status", "session_halted"]
        assert types.count("conversation_added") == len(flood.accepted) > 1


@pytest.mark.parametrize("act", ["terminate", "purge", "suspend"])
async def test_an_end_gets_through_a_full_mailbox(store: StalledStore, act: str) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=20) as client:
        session = await client.create_session(config={"shutdown": 1.0})
        store.stalled.add(session.id)
        flood = Flood(session)
        call = {"suspend": session.suspend, "terminate": session.terminate}.get(
            act, partial(session.terminate, purge=True)
        )

        async with anyio.create_task_group() as tasks:
            await flood.rise(tasks, 100)
            await store.reached.wait()
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            store.released.set()

        assert flood.outcomes["refused"] in (79, 80)
        if act == "purge":
            assert await client.list_sessions(status=list(SessionStatus)) == []  # pyright: ignore
        else:
            # Whoever waited behind a suspension has woken the session again.
            status = SessionStatus.TERMINATED if act == "terminate" else SessionStatus.ACTIVE
            assert (await session.info()).status in (
                {status} if act == "terminate" else {status, SessionStatus.SUSPENDED}
            )


async def test_an_actors_default_bound_does_not_keep_the_house_from_ending_a_session() -> None:
    # Once they had the same bound: then the house's own words were refused as well.
    store = StalledStore(STORES["memory"](Path()))
    async with a_client(store, world=VirtualWorld(), mailbox=12_000) as client:
        session = await client.create_session()
        store.stalled.add(session.id)
        flood = Flood(session)

        async with anyio.create_task_group() as tasks:
            await flood.rise(tasks, 12_001)
            await store.reached.wait()
            tasks.start_soon(session.terminate)
            await anyio.wait_all_tasks_blocked()
            store.released.set()

        assert (await session.info()).status is SessionStatus.TERMINATED
        assert flood.outcomes["refused"] <= 1


async def test_reads_are_bounded_as_well(store: StalledStore) -> None:
    async with a_client(store, world=VirtualWorld(), mailbox=10) as client:
        session = await client.create_session()
        store.stalled.add(session.id)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(session.send_message, "user", "stuck"))
            await store.reached.wait()
            outcomes: list[Any] = []

            async def read() -> None:
                outcomes.extend(await all_of([session.get_history] * 50))

            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            store.released.set()

        assert Counter(type(outcome) for outcome in outcomes) == {list: 10, MailboxFull: 40}
