"""A session that crashes too often fails: alone, once, and until it is resumed."""

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.core.errors import SessionFailed
from jidoka.core.status import SessionStatus
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.crashing import everything_in, furnished, urns
from tests.stories.kit import all_of, moves, said, types_of


async def test_a_session_that_crashes_too_often_fails_once_and_alone(client: Client) -> None:
    session = await client.create_session(config={"max_restarts": 3, "within": 60})
    others = [await furnished(client) for _ in range(3)]
    before = [(await urns(other), await everything_in(other), await types_of(client, other)) for other in others]
    await session.send_message("user", "before the storm")

    async with listening_to(client) as log:
        for _ in range(4):
            assert (await session.info()).status is SessionStatus.ACTIVE
            await kill_child(session, "context_manager")
            await anyio.wait_all_tasks_blocked()
        failed = await log.next("session_failed")

    info = await session.info()
    assert (info.status, info.incarnation) == (SessionStatus.FAILED, 1)
    assert info.error
    assert info.error == failed.data["error"]
    assert log.types.count("session_failed") == 1
    assert "session_terminated" not in log.types
    assert before == [
        (await urns(other), await everything_in(other), await types_of(client, other)) for other in others
    ]
    assert session.id not in client.house.registry


async def test_a_storm_of_supervisors_fails_their_session_too(client: Client) -> None:
    session = await client.create_session(config={"max_restarts": 2})

    for _ in range(3):
        await kill_supervisor(session)
        await anyio.wait_all_tasks_blocked()

    assert (await moves(client, session))[-1] == "failed"
    assert (await types_of(client, session)).count("session_failed") == 1


async def test_crashes_that_lie_far_apart_are_no_storm(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 1, "within": 10})

    for _ in range(5):
        await kill_child(session, "context_manager")
        assert await session.get_history() == []
        await world.advance(11)

    assert (await session.info()).status is SessionStatus.ACTIVE


async def test_a_failed_session_says_so_and_why_until_it_is_resumed(client: Client, world: VirtualWorld) -> None:
    session = await furnished(client)
    await session.terminate(purge=True)
    session = await client.create_session(config={"max_restarts": 0})
    await session.send_message("user", "before")
    await kill_child(session, "context_manager")
    await world.advance(0)

    with pytest.raises(SessionFailed) as caught:
        await session.send_message("user", "refused")
    assert caught.value.error == (await session.info()).error

    info = await session.resume()
    assert (info.status, info.incarnation, info.error) == (SessionStatus.ACTIVE, 2, None)
    assert await said(session) == [("user", "before")]
    await session.send_message("user", "after")
    assert (await types_of(client, session)).count("session_resumed") == 1


async def test_each_life_after_a_failure_is_one_incarnation_more(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 0})

    for incarnation in (2, 3, 4):
        await kill_child(session, "orchestrator")
        await world.advance(0)
        assert (await session.info()).status is SessionStatus.FAILED
        assert (await session.resume()).incarnation == incarnation


async def test_many_who_resume_a_failed_session_at_once_make_one_incarnation(
    client: Client, world: VirtualWorld
) -> None:
    session = await client.create_session(config={"max_restarts": 0})
    await kill_child(session, "context_manager")
    await world.advance(0)

    outcomes = await all_of([session.resume] * 10)

    assert {info.incarnation for info in outcomes} == {2}
