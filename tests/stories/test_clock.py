"""Rest comes by itself, on the clock that was handed in."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import PATIENCE, HeldStore, a_client, all_of, moves, said, types_of

ACTIVE, IDLE, SUSPENDED = SessionStatus.ACTIVE, SessionStatus.IDLE, SessionStatus.SUSPENDED


@pytest.mark.parametrize(
    ("config", "passed", "status"),
    [
        ({}, 299, ACTIVE),
        ({}, 301, IDLE),
        ({}, 1799, IDLE),
        ({}, 1801, SUSPENDED),
        ({}, 100_000, SUSPENDED),
        ({"idle_after": 10}, 9, ACTIVE),
        ({"idle_after": 10}, 11, IDLE),
        ({"idle_after": 10}, 1799, IDLE),
        ({"idle_after": 10}, 1801, SUSPENDED),
        ({"suspend_after": 600}, 599, IDLE),
        ({"suspend_after": 600}, 601, SUSPENDED),
        ({"idle_after": 1000, "suspend_after": 60}, 59, ACTIVE),
        ({"idle_after": 1000, "suspend_after": 60}, 61, SUSPENDED),
        ({"idle_after": 60, "suspend_after": 60}, 61, SUSPENDED),
        ({"idle_after": 0.5, "suspend_after": 1.5}, 1, IDLE),
        ({"idle_after": 0.5, "suspend_after": 1.5}, 2, SUSPENDED),
    ],
)
async def test_a_session_rests_when_it_has_not_been_used_for_so_long(
    client: Client, world: VirtualWorld, config: dict[str, float], passed: float, status: SessionStatus
) -> None:
    session = await client.create_session(config=config)

    await world.advance(passed)

    assert (await session.info()).status is status
    assert (session.id in client.house.registry) is (status is not SUSPENDED)


async def test_settings_say_when_sessions_rest_that_say_nothing_themselves(world: VirtualWorld) -> None:
    async with a_client(world=world, idle_after=5, suspend_after=20) as client:
        quiet, own = await client.create_session(), await client.create_session(config={"idle_after": 50})

        await world.advance(6)
        assert [(await session.info()).status for session in (quiet, own)] == [IDLE, ACTIVE]

        await world.advance(15)
        assert (await quiet.info()).status is SUSPENDED


async def test_resting_is_told_once_in_order(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()

    await world.advance(100_000)

    assert (await types_of(client, session))[2:] == [
        "session_status",
        "session_idle",
        "session_status",
        "session_suspended",
    ]
    assert await moves(client, session) == ["active", "idle", "suspended"]


USES: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "send_message": lambda s: s.send_message("user", "hello"),
    "get_history": lambda s: s.get_history(),
    "prompt": lambda s: s.prompt("hello"),
    "add_file": lambda s: s.add_file("a.py"),
    "put_context": lambda s: s.put_context("key", 1),
    "update": lambda s: s.update(metadata={"a": 1}),
    "build_context": lambda s: s.build_context(),
}


@pytest.mark.parametrize("use", USES)
async def test_a_session_that_is_used_does_not_rest(client: Client, world: VirtualWorld, use: str) -> None:
    session = await client.create_session()

    for _ in range(5):
        await world.advance(250)
        await USES[use](session)

    assert await moves(client, session) == ["active"]
    await world.advance(299)
    assert (await session.info()).status is ACTIVE
    await world.advance(2)
    assert (await session.info()).status is IDLE


async def test_looking_at_a_session_from_outside_does_not_keep_it_awake(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()

    for _ in range(8):
        await world.advance(250)
        await session.info()
        await client.list_sessions()
        await client.supervision_tree()
        await session.which_children()
        await session.export()

    assert (await session.info()).status is SUSPENDED


@pytest.mark.parametrize("use", USES)
async def test_any_use_of_a_suspended_session_resumes_it(client: Client, world: VirtualWorld, use: str) -> None:
    session = await client.create_session()
    await session.send_message("user", "before")
    await world.advance(2000)
    assert session.id not in client.house.registry

    await USES[use](session)

    assert (await session.info()).status is ACTIVE
    assert (await said(session))[0] == ("user", "before")
    assert await moves(client, session) == ["active", "idle", "suspended", "active"]
    assert (await types_of(client, session)).count("session_resumed") == 1
    assert "child_restarted" not in await types_of(client, session)
    assert (await session.info()).incarnation == 1


async def test_many_who_use_a_suspended_session_at_once_resume_it_once(client: Client) -> None:
    session = await client.create_session()
    await session.suspend()

    outcomes = await all_of([*[session.get_history] * 20, *[session.resume] * 5])

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert await moves(client, session) == ["active", "suspended", "active"]


async def test_what_is_sent_while_a_session_falls_asleep_is_not_lost(client: Client) -> None:
    session = await client.create_session()

    calls: list[Any] = []
    for number in range(20):
        calls.append(lambda number=number: session.send_message("user", f"{number}"))
        calls.append(session.suspend)
    outcomes = await all_of(calls)

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert sorted(int(content) for _, content in await said(session)) == list(range(20))


async def test_a_session_that_waits_for_a_person_waits_for_ever(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    await session.halt(reason="look at this")

    await world.advance(100_000)

    assert (await session.info()).status is SessionStatus.WAITING_INPUT
    await session.approve(decision="approve")
    await world.advance(2000)
    assert (await session.info()).status is SUSPENDED


async def test_a_session_in_a_turn_does_not_rest(world: VirtualWorld) -> None:
    go_on = anyio.Event()
    model = ScriptedModel(["a ", go_on, "b"])
    async with a_client(models={"slow": model}, world=world) as client:
        session = await client.create_session(llm_config={"model": "slow"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.prompt, "question")
            await model.started.wait()
            await world.advance(10_000)
            assert (await session.info()).status is ACTIVE
            go_on.set()

        await world.advance(3000)
        assert (await session.info()).status is SUSPENDED


@pytest.mark.parametrize("kill", [kill_supervisor, lambda s: kill_child(s, "context_manager")], ids=["tree", "context"])
async def test_the_clock_of_a_session_survives_a_kill(
    client: Client, world: VirtualWorld, kill: Callable[[Session], Awaitable[Any]]
) -> None:
    session = await client.create_session()
    await kill(session)

    await world.advance(2000)

    assert (await session.info()).status is SUSPENDED
    assert len(client.house.system.timers) == 0


async def test_sessions_rest_though_their_manager_was_killed(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    await kill_manager(client)

    await world.advance(2000)

    assert (await session.info()).status is SUSPENDED


async def test_a_suspended_session_holds_no_memory(client: Client, world: VirtualWorld) -> None:
    actors = client.house.system.cells
    session = await client.create_session()
    client.files.cache_file("a.py", "text", session_id=session.id)

    await world.advance(2000)

    assert client.house.system.cells == actors
    assert await session.which_children() == []
    assert client.files.stats().items == 0
    assert len(client.house.system.timers) == 0


async def test_a_wall_clock_that_jumps_puts_nobody_to_sleep(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()

    world.set_wall_clock(world.now().replace(year=2040))
    await world.advance(10)

    assert (await session.info()).status is ACTIVE


@pytest.mark.parametrize("start", [number * 0.7 for number in range(1, 20)])
async def test_moments_that_cannot_be_told_exactly_hold_nobody_up(start: float) -> None:
    world = VirtualWorld()
    await world.advance(start)
    async with a_client(world=world) as client:
        session = await client.create_session(config={"idle_after": 10.1, "suspend_after": 60.1})

        with anyio.fail_after(PATIENCE):
            await world.advance(61)

        assert (await session.info()).status is SUSPENDED


# --- the warning --------------------------------------------------------------------------------------


async def warnings(client: Client, session: Session, world: VirtualWorld, *waits: float) -> list[float]:
    """What is said of the time that remains, when the session is used after each of *waits* but the last."""
    async with listening_to(client, session.id) as log:
        for number, seconds in enumerate(waits):
            if number:
                await session.get_history()
            await world.advance(seconds)
    assert all(event.seq is None for event in log.events if event.type == "timeout_warning")
    return [event.data["remaining_seconds"] for event in log.events if event.type == "timeout_warning"]


@pytest.mark.parametrize(
    ("config", "waits", "remaining"),
    [
        ({}, [1499], []),
        ({}, [1501], [300]),
        ({}, [100_000], [300]),
        ({}, [1700, 1700], [300, 300]),
        ({}, [1000, 1000, 1000], []),
        ({"suspend_after": 600}, [599], [300]),
        ({"suspend_after": 301}, [10], [300]),
        ({"suspend_after": 300}, [10_000], []),
        ({"idle_after": 5000, "suspend_after": 1000}, [999], [300]),
    ],
)
async def test_a_session_warns_once_before_it_is_suspended(
    client: Client, world: VirtualWorld, config: dict[str, float], waits: list[float], remaining: list[float]
) -> None:
    session = await client.create_session(config=config)

    assert await warnings(client, session, world, *waits) == remaining

    assert "timeout_warning" not in await types_of(client, session)


async def test_a_session_that_waits_for_a_person_does_not_warn(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    await session.halt(reason="look")

    assert await warnings(client, session, world, 10_000) == []


async def test_time_passes_though_the_store_takes_longer_than_a_session_takes_to_rest(world: VirtualWorld) -> None:
    store = HeldStore()
    async with a_client(store, world=world) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        await world.advance(301)
        assert hold.reached.is_set()

        with anyio.fail_after(PATIENCE):
            await world.advance(1501)
        hold.released.set()
        await world.advance(300)

        assert await moves(client, session) == ["active", "idle", "suspended"]
