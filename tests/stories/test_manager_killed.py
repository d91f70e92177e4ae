"""The session manager holds nobody's life: it may die at any time."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.core.errors import SessionExists, StoreUnavailable
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_manager
from jidoka.testing.world import VirtualWorld
from tests.stories.crashing import furnished, urns
from tests.stories.kit import HeldStore, a_client, all_of, said, types_of


async def test_sessions_do_not_notice_that_their_manager_is_killed(client: Client) -> None:
    sessions = [await furnished(client) for _ in range(5)]
    before = [(await urns(session), await types_of(client, session)) for session in sessions]
    async with sessions[0].subscribe() as events:
        for _ in range(10):
            await kill_manager(client)

        assert [(await urns(session), await types_of(client, session)) for session in sessions] == before
        assert len(await client.list_sessions()) == 5
        await sessions[0].send_message("user", "heard")
        assert (await anext(events)).type == "conversation_added"


async def test_a_new_manager_finds_the_sessions_of_the_old_one(client: Client) -> None:
    session = await client.create_session(session_id="found_again")
    await kill_manager(client)

    with pytest.raises(SessionExists):
        await client.create_session(session_id="found_again")
    await session.suspend()
    assert (await session.resume()).status is SessionStatus.ACTIVE
    await session.terminate()
    assert await client.list_sessions() == []


@pytest.mark.parametrize("seed", range(10))
async def test_calls_that_meet_a_dying_manager_are_answered_as_if_nothing_had_happened(
    client: Client, seed: int
) -> None:
    chance = random.Random(seed)
    old = await all_of([client.create_session] * 10)

    async def later(call: Callable[[], Awaitable[Any]]) -> Any:
        for _ in range(chance.randrange(8)):
            await anyio.lowlevel.checkpoint()
        return await call()

    calls: list[Callable[[], Awaitable[Any]]] = [
        *[client.create_session] * 10,
        *[session.terminate for session in old[:5]],
        *[session.suspend for session in old[5:]],
        *[partial(kill_manager, client)] * 3,
    ]
    chance.shuffle(calls)
    outcomes = await all_of([partial(later, call) for call in calls])

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(await client.list_sessions(status="active")) == 10
    assert len(await client.list_sessions(status="suspended")) == 5


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_create_during_which_the_manager_dies_returns_when_the_session_is_active(when: str) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        hold = store.hold("half_created", when=when)
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def create() -> None:
                outcomes.extend(await all_of([partial(client.create_session, session_id="half_created")]))

            tasks.start_soon(create)
            await hold.reached.wait()
            await kill_manager(client)
            await anyio.wait_all_tasks_blocked()
            assert outcomes == []
            hold.released.set()

        assert isinstance(outcomes[0], Session)
        assert (await outcomes[0].info()).status is SessionStatus.ACTIVE
        assert await types_of(client, outcomes[0]) == ["session_created", "session_status"]


async def test_a_create_during_which_the_manager_dies_may_still_fail() -> None:
    class Failing(HeldStore):
        async def append(self, session_id: str, *args: Any, **more: Any) -> Any:
            await self._wait(session_id, "append", "before")
            raise StoreUnavailable("the disk is away")

    store = Failing()
    async with a_client(store) as client:
        hold = store.hold("half_created")
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def create() -> None:
                outcomes.extend(await all_of([partial(client.create_session, session_id="half_created")]))

            tasks.start_soon(create)
            await hold.reached.wait()
            await kill_manager(client)
            await anyio.wait_all_tasks_blocked()
            hold.released.set()

        assert isinstance(outcomes[0], StoreUnavailable)


@pytest.mark.parametrize("seed", range(10))
async def test_of_many_who_want_one_id_one_gets_it_though_the_manager_is_killed(client: Client, seed: int) -> None:
    chance = random.Random(seed)

    async def kill() -> None:
        for _ in range(chance.randrange(6)):
            await anyio.lowlevel.checkpoint()
        await kill_manager(client)

    creates = [partial(client.create_session, session_id="wanted_by_all", metadata={"by": n}) for n in range(10)]
    outcomes = await all_of([*creates, kill, kill])

    winners = [number for number, outcome in enumerate(outcomes[:10]) if isinstance(outcome, Session)]
    assert len(winners) == 1
    assert (await client.get_session_info("wanted_by_all")).metadata == {"by": winners[0]}


async def test_an_id_that_was_taken_stays_refused_though_the_manager_is_killed(client: Client) -> None:
    await client.create_session(session_id="taken_id_1", owner="ada")
    outcomes: list[Any] = []

    async def create() -> None:
        outcomes.extend(await all_of([partial(client.create_session, session_id="taken_id_1", owner="eve")]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await kill_manager(client)

    assert [type(outcome) for outcome in outcomes] == [SessionExists]


@pytest.mark.parametrize("use", ["get_history", "prompt", "suspend", "terminate", "resume"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_suspension_during_which_the_manager_dies_is_finished_or_undone(when: str, use: str) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id, when=when)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.suspend)
            await hold.reached.wait()
            tasks.cancel_scope.cancel()
        await kill_manager(client)
        hold.released.set()
        await anyio.wait_all_tasks_blocked()

        acts: dict[str, Any] = {"prompt": partial(session.prompt, "echo")}
        with anyio.fail_after(2):
            await acts.get(use, getattr(session, use))()
        expected = {"suspend": SessionStatus.SUSPENDED, "terminate": SessionStatus.TERMINATED}
        assert (await session.info()).status == expected.get(use, SessionStatus.ACTIVE)


@pytest.mark.parametrize("call", ["claim", "append"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_session_that_is_coming_up_while_the_manager_dies_comes_up_once(call: str, when: str) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        await session.suspend()
        hold = store.hold(session.id, call, when=when)
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                outcomes.extend(await all_of([session.get_history]))

            tasks.start_soon(ask)
            await hold.reached.wait()
            await kill_manager(client)
            await anyio.wait_all_tasks_blocked()
            hold.released.set()

        assert outcomes == [[]]
        head = await store.head(session.id)
        assert head is not None
        assert head.epoch == 2
        assert (await types_of(client, session)).count("session_resumed") == 1


async def test_a_suspension_that_nobody_waits_for_any_more_frees_the_memory() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id, when="after")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.suspend)
            await hold.reached.wait()
            await kill_manager(client)
            hold.released.set()

        assert (await session.info()).status is SessionStatus.SUSPENDED
        assert session.id not in client.house.registry


async def test_a_suspension_that_took_too_long_does_not_lock_the_session(world: VirtualWorld) -> None:
    store = HeldStore()
    async with a_client(store, world=world, call_timeout=1.0) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(all_of, [session.suspend])
            await hold.reached.wait()
            await world.advance(1.1)
            hold.released.set()
            await anyio.wait_all_tasks_blocked()

        with anyio.fail_after(2):
            assert await said(session) == []
