"""I17: a session that crashes over and over is restarted so often, then it has failed, and costs nothing more."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import ActorRestarted, ChildNotFound
from jidoka.client import Client
from jidoka.core.errors import SessionFailed, SessionNotFound, SessionTerminated, TurnFailed
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import a_client, journal, said, types_of
from tests.stories.stores import STORES, Boom, PoisonStore

pytestmark = pytest.mark.usefixtures("unlogged")

DAY = 86_400
RESTARTS = 5
CONFIG = {"max_restarts": RESTARTS, "within": 60.0}


class FrailStore(PoisonStore):
    """A store in which a session cannot come up again, so many times."""

    failures = 0

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Any:
        if self.failures:
            self.failures -= 1
            raise Boom("cannot come up")
        return await self.inner.claim(session_id, expected_epoch=expected_epoch)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FrailStore:
    return FrailStore(STORES[request.param](tmp_path))


@pytest.fixture
def world() -> VirtualWorld:
    return VirtualWorld()


@pytest.fixture
async def client(store: FrailStore, world: VirtualWorld) -> AsyncIterator[Client]:
    crashing = ScriptedModel([SystemExit(3)])
    async with a_client(store, world=world, models={"crashing": crashing}, housekeeping_every=DAY) as client:
        yield client
        store.poisonous = set()


async def tick(world: VirtualWorld) -> None:
    """Who is killed while coming up is started again a moment later: moments pass."""
    while True:
        await anyio.sleep(0.01)
        await world.advance(0.02)


async def kill_until_it_is_gone(session: Session, kill: Callable[[], Awaitable[Any]]) -> None:
    while True:
        try:
            await kill()
            await session.get_history()
        except (SessionFailed, ChildNotFound):
            return


async def send_until_it_is_gone(client: Client, session: Session) -> None:
    client.house.store.poisonous = {"conversation_added", "context_updated"}  # pyright: ignore
    with pytest.raises(SessionFailed):
        for number in range(100):
            with pytest.raises(ActorRestarted):
                await session.send_message("user", f"poison {number}")
    client.house.store.poisonous = set()  # pyright: ignore


async def prompt_until_it_is_gone(session: Session) -> None:
    with pytest.raises(SessionFailed):
        for _ in range(100):
            with pytest.raises(TurnFailed):
                await session.prompt("crash")
            await session.get_history()


LOOPS: dict[str, Callable[[Client, Session], Awaitable[Any]]] = {
    "context manager killed": lambda _, s: kill_until_it_is_gone(s, lambda: kill_child(s, "context_manager")),
    "orchestrator killed": lambda _, s: kill_until_it_is_gone(s, lambda: kill_child(s, "orchestrator")),
    "supervisor killed": lambda _, s: kill_until_it_is_gone(s, lambda: kill_supervisor(s)),
    "every message is poison": send_until_it_is_gone,
    "every turn crashes": lambda _, s: prompt_until_it_is_gone(s),
}


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_crash_loop_ends_in_failed_and_nothing_goes_on(client: Client, world: VirtualWorld, loop: str) -> None:
    cells = client.house.system.cells
    session = await client.create_session(config=CONFIG, llm_config={"model": "crashing"})
    await session.send_message("user", "before")

    async with listening_to(client) as log:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick, world)
            await LOOPS[loop](client, session)
            failed = await log.next("session_failed")
            tasks.cancel_scope.cancel()
        entries = await journal(client, session)
        types = [entry.type for entry in entries]
        await world.advance(1_000_000)

        assert log.types.count("session_failed") == 1
    assert types.count("session_failed") == 1
    assert 1 <= types.count("child_restarted") <= RESTARTS
    assert failed.data["reason"]
    assert failed.data["reason"] == failed.data["error"] == (await session.info()).error
    # No further CPU: no actor, nobody who waits for a time but the housekeeper, no entry.
    assert await journal(client, session) == entries
    assert client.house.system.cells == cells
    assert world.sleeping <= 1
    assert len(client.house.system.timers) == 0
    assert session.id not in client.house.registry


async def test_a_session_that_cannot_come_up_again_is_tried_less_and_less_often_and_then_fails(
    client: Client, world: VirtualWorld, store: FrailStore
) -> None:
    session = await client.create_session(config={"max_restarts": RESTARTS, "within": 600.0})
    await session.send_message("user", "before")
    began = world.monotonic()

    # The kill is the first of the restarts. Its last words find the store whole again.
    store.failures = RESTARTS
    async with listening_to(client) as log:
        await kill_child(session, "context_manager")
        with anyio.fail_after(10):
            while session.id in client.house.registry:
                await world.advance(0.05)
                await client.house.store.count()
            await log.next("session_failed")
    took = world.monotonic() - began

    # 0.1 s, 0.2 s, 0.4 s, 0.8 s, each shortened by up to a quarter.
    assert 1.1 <= took <= 2.5
    await world.advance(1_000_000)
    assert store.failures == 0
    assert len(client.house.system.timers) == 0
    assert (await session.info()).status is SessionStatus.FAILED
    assert (await types_of(client, session)).count("session_failed") == 1


async def _failed(client: Client) -> Session:
    session = await client.create_session(config={"max_restarts": 0})
    await session.send_message("user", "before")
    async with listening_to(client) as log:
        await kill_child(session, "context_manager")
        await log.next("session_failed")
    return session


async def test_a_failed_session_can_be_read(client: Client) -> None:
    session = await _failed(client)

    assert (await session.info()).status is SessionStatus.FAILED
    document = await session.export()
    assert [entry["data"]["content"] for entry in document["entries"] if entry["type"] == "conversation_added"] == [
        "before"
    ]
    assert [info.id for info in await client.list_sessions(status="failed")] == [session.id]
    assert await session.which_children() == []
    assert await said(await session.fork()) == [("user", "before")]
    with pytest.raises(SessionFailed, match="killed"):
        await session.get_history()


@pytest.mark.parametrize("purge", [False, True])
async def test_a_failed_session_can_be_deleted(client: Client, purge: bool) -> None:
    session = await _failed(client)

    await session.terminate(purge=purge)

    with pytest.raises(SessionNotFound if purge else SessionTerminated):
        await session.get_history()


async def test_a_failed_session_can_be_resumed_with_a_fresh_budget(client: Client) -> None:
    session = await client.create_session(config=CONFIG)
    await session.send_message("user", "before")
    for incarnation in (2, 3):
        async with listening_to(client) as log:
            await kill_until_it_is_gone(session, lambda: kill_child(session, "context_manager"))
            await log.next("session_failed")

        info = await session.resume()

        assert (info.status, info.incarnation, info.error) == (SessionStatus.ACTIVE, incarnation, None)
    assert await said(session) == [("user", "before")]
    await session.send_message("user", "after")
    assert (await types_of(client, session)).count("session_failed") == 2
