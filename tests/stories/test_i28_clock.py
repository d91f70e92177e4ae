"""I28: the wall clock jumps under load. Order is what `seq` says, and nobody rests, expires or times out for it."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.errors import CallTimeout
from jidoka.client import Client
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import a_client, all_of, journal, said, types_of
from tests.stories.stores import STORES
from tests.stories.turning import slow

Jump = Callable[[datetime], datetime]

JUMPS: dict[str, list[timedelta]] = {
    "an hour back": [timedelta(hours=-1)],
    "a day ahead": [timedelta(days=1)],
    "a second back, twenty times": [timedelta(seconds=-1)] * 20,
    "to and fro": [timedelta(days=1), timedelta(days=-2), timedelta(hours=1), timedelta(days=400)],
}


@pytest.fixture
def world() -> VirtualWorld:
    return VirtualWorld()


@pytest.fixture(params=STORES)
async def client(request: pytest.FixtureRequest, tmp_path: Path, world: VirtualWorld) -> AsyncIterator[Client]:
    models = {"slow": slow(), "quick": ScriptedModel(["answer"])}
    async with a_client(STORES[request.param](tmp_path), world=world, models=models) as client:
        yield client


async def jump(world: VirtualWorld, by: timedelta) -> None:
    world.set_wall_clock(world.now() + by)
    await anyio.lowlevel.checkpoint()


async def statuses(sessions: list[Session]) -> set[SessionStatus]:
    return {(await session.info()).status for session in sessions}


@pytest.mark.parametrize("name", JUMPS)
async def test_under_load_order_stays_and_nobody_rests(client: Client, world: VirtualWorld, name: str) -> None:
    sessions = [await client.create_session(config={"max_age": 3600}) for _ in range(10)]

    async def talk(session: Session) -> None:
        for number in range(10):
            await session.send_message("user", f"{number}")
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for session in sessions:
            tasks.start_soon(talk, session)
        for by in JUMPS[name]:
            await jump(world, by)
    await anyio.wait_all_tasks_blocked()

    assert await statuses(sessions) == {SessionStatus.ACTIVE}
    for session in sessions:
        assert await said(session) == [("user", f"{number}") for number in range(10)]
        types = [entry.type for entry in await journal(client, session)]
        assert types == ["session_created", "session_status", *["conversation_added"] * 10]
        async with session.subscribe(after=0) as events:
            seqs = [(await anext(events)).seq for _ in range(12)]
        assert seqs == list(range(1, 13))


@pytest.mark.parametrize("name", JUMPS)
async def test_rest_comes_when_so_much_time_has_passed_whatever_the_wall_says(
    client: Client, world: VirtualWorld, name: str
) -> None:
    sessions = [await client.create_session() for _ in range(5)]

    async def pass_by(seconds: float) -> None:
        steps = JUMPS[name]
        for by in steps:
            await jump(world, by)
            await world.advance(seconds / len(steps))

    await pass_by(299)
    assert await statuses(sessions) == {SessionStatus.ACTIVE}
    await pass_by(2)
    await _until(client, sessions, SessionStatus.IDLE)
    await pass_by(1498)
    assert await statuses(sessions) == {SessionStatus.IDLE}
    await pass_by(2)
    await _until(client, sessions, SessionStatus.SUSPENDED)
    assert len(client.house.system.timers) == 0


async def _until(client: Client, sessions: list[Session], status: SessionStatus) -> None:
    """A store on a disk takes its own time."""
    with anyio.fail_after(5):
        while await statuses(sessions) != {status} or (
            status is SessionStatus.SUSPENDED and len(client.house.registry)
        ):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("by", [timedelta(hours=-1), timedelta(days=1)], ids=["back", "ahead"])
async def test_a_turns_limit_is_time_that_passes(client: Client, world: VirtualWorld, by: timedelta) -> None:
    session = await client.create_session(llm_config={"model": "slow"})
    outcomes: list[object] = []

    async def ask() -> None:
        outcomes.extend(await all_of([partial(session.prompt, "question", timeout=10)]))

    model = client.house.models.find("slow")
    assert isinstance(model, ScriptedModel)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await model.started.wait()
        await jump(world, by)
        await world.advance(9.9)
        assert not outcomes
        await world.advance(0.2)

    assert isinstance(outcomes[0], CallTimeout)


@pytest.mark.parametrize("by", [timedelta(days=-1), timedelta(days=1)], ids=["back", "ahead"])
async def test_a_restart_budget_is_counted_in_time_that_passes(
    client: Client, world: VirtualWorld, by: timedelta
) -> None:
    session = await client.create_session(config={"max_restarts": 2, "within": 10.0})

    for _ in range(2):
        await kill_child(session, "context_manager")
        assert await session.get_history() == []
        await jump(world, by)

    assert (await types_of(client, session)).count("child_restarted") == 2
    await kill_child(session, "context_manager")
    with anyio.fail_after(5):
        while (await session.info()).status is not SessionStatus.FAILED:
            await anyio.lowlevel.checkpoint()


async def test_messages_tell_the_wall_time_and_are_ordered_by_number(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    first = await session.send_message("user", "first")
    await jump(world, timedelta(hours=-1))
    second = await session.send_message("user", "second")

    assert second.at < first.at
    assert second.seq == first.seq + 1
    assert [message.content for message in await session.get_history(limit=1)] == ["second"]
    assert (await session.info()).last_seq == second.seq
