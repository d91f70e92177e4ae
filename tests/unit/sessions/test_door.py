"""The way to a session's actors, and the register of where they are."""

from collections.abc import AsyncIterator

import anyio
import pytest

from jidoka.actors.errors import CallTimeout
from jidoka.client import Client
from jidoka.core.errors import InvalidMessage, SessionNotFound
from jidoka.core.settings import Settings
from jidoka.sessions import requests as ask
from jidoka.sessions.registry import Registry
from jidoka.testing.faults import kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(world=VirtualWorld()) as client:
        yield client


async def test_keys_are_never_the_same(client: Client) -> None:
    async with Client(world=VirtualWorld(seed=1)) as other:
        keys = [door.new_key() for door in (client.door, other.door) for _ in range(100)]

    assert len(set(keys)) == 200


async def test_a_registry_has_a_row_for_each_session_that_is_up(client: Client) -> None:
    sessions = [await client.create_session() for _ in range(3)]
    registry = client.house.registry

    assert list(registry) == [session.id for session in sessions]
    assert len(registry) == 3
    await sessions[0].suspend()
    await sessions[1].terminate()
    assert list(registry) == [sessions[2].id]
    assert registry.child(sessions[2].id, "nobody") is None


def test_an_empty_registry_knows_nobody() -> None:
    registry = Registry()

    assert registry.supervisor("nobody_there") is None
    assert registry.child("nobody_there", "context_manager") is None
    assert registry.when_settled("nobody_there", lambda: None) is False
    registry.remove("nobody_there")
    assert (len(registry), list(registry), "nobody_there" in registry) == (0, [], False)


async def test_whoever_asks_while_a_session_is_being_restarted_is_answered_when_it_is_up(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")
    ref = await session.get_ref()

    ref.kill()

    assert len(await session.get_history()) == 1
    await kill_supervisor(session)
    assert (await session.get_ref()).is_alive()


async def test_a_message_that_nobody_knows_is_refused_and_kills_nobody(client: Client) -> None:
    session = await client.create_session()
    manager = client.house.manager
    assert manager is not None
    context = client.house.registry.child(session.id, "context_manager")
    assert context is not None

    for ref in (manager, context, await session.get_llm_agent_ref()):
        with pytest.raises(InvalidMessage):
            await ref.call("what?")
        assert ref.is_alive()
    assert (await client.stats()).restarts == 0


async def test_a_session_that_was_purged_while_somebody_asked_is_not_found(client: Client) -> None:
    session = await client.create_session()
    await session.terminate(purge=True)

    with pytest.raises(SessionNotFound):
        await client.door.context(session.id, ask.ReadHistory())


async def test_a_read_that_has_to_wait_for_a_restart_that_hangs_times_out() -> None:
    world, store = VirtualWorld(), HeldStore()
    async with Client(store, world=world) as client:
        session = await client.create_session()
        hold = store.hold(session.id, "claim")
        outcomes: list[str] = []

        async def read() -> None:
            try:
                await session.get_history()
            except CallTimeout:
                outcomes.append("timeout")

        async with anyio.create_task_group() as tasks:
            (await session.get_ref()).kill()
            await hold.reached.wait()
            tasks.start_soon(read)
            await world.advance(30)
            assert outcomes == ["timeout"]
            hold.released.set()
        assert await session.get_history() == []


@pytest.mark.parametrize("way", ["suspended", "restarting"])
async def test_a_session_that_does_not_come_up_does_not_hold_up_its_callers(way: str) -> None:
    store, world = HeldStore(), VirtualWorld()
    async with Client(store, world=world, settings=Settings(call_timeout=2.0)) as client:
        session = await client.create_session()
        hold = store.hold(session.id, "claim")
        if way == "suspended":
            await session.suspend()
        else:
            await kill_supervisor(session)
        refusals: list[CallTimeout] = []

        async def ask() -> None:
            with pytest.raises(CallTimeout) as caught:
                await session.get_history()
            refusals.append(caught.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await hold.reached.wait()
            await world.advance(1.9)
            assert refusals == []
            await world.advance(0.1)
            assert len(refusals) == 1

        hold.released.set()
        assert await session.get_history() == []
