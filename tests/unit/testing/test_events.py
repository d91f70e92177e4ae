"""EventLog: what happened, in order, and a way to wait for it."""

import anyio
import pytest

from jidoka import Client
from jidoka.testing.events import EventLog, listening_to
from jidoka.testing.world import VirtualWorld


async def test_a_log_of_one_session_has_everything_of_that_one() -> None:
    async with Client() as client:
        session, other = await client.create_session(), await client.create_session()

        async with listening_to(client, session.id) as log:
            await other.send_message("user", "not this one")
            await session.send_message("user", "hello")
            await session.put_context("key", 1)

    assert log.types == ["conversation_added", "context_updated"]
    assert {event.session_id for event in log.events} == {session.id}


async def test_a_log_of_all_sessions_has_their_lifecycle() -> None:
    async with Client() as client, listening_to(client) as log:
        session = await client.create_session()
        await session.send_message("user", "hello")
        await session.terminate()

    assert log.types == ["session_created", *["session_status"] * 3, "session_terminated"]


async def test_next_gives_what_has_happened_already() -> None:
    async with Client() as client, listening_to(client) as log:
        first, second = await client.create_session(), await client.create_session()

        assert (await log.next("session_created")).session_id == first.id
        assert (await log.next("session_created")).session_id == second.id


async def test_next_waits_for_what_has_not_happened_yet() -> None:
    async with Client() as client, listening_to(client) as log, anyio.create_task_group() as tasks:
        session = await client.create_session()
        found: list[str] = []

        async def wait() -> None:
            found.append((await log.next("session_terminated", session_id=session.id)).type)

        tasks.start_soon(wait)
        await VirtualWorld().settle()
        assert found == []
        await session.terminate()

    assert found == ["session_terminated"]


async def test_next_can_be_told_which_session() -> None:
    async with Client() as client, listening_to(client) as log:
        await client.create_session()
        wanted = await client.create_session()

        assert (await log.next(session_id=wanted.id)).type == "session_created"


async def test_next_passes_over_what_was_not_asked_for() -> None:
    async with Client() as client, listening_to(client) as log:
        session = await client.create_session()
        await session.terminate()
        await log.next("session_terminated")

        with anyio.move_on_after(0) as scope:
            await log.next("session_created")

    assert scope.cancelled_caught
    assert log.types[0] == "session_created"


async def test_a_log_ends_with_its_block() -> None:
    async with Client() as client:
        session = await client.create_session()
        with pytest.raises(ZeroDivisionError):
            async with listening_to(client, session.id) as log:
                _ = 1 / 0
        await session.send_message("user", "hello")

        assert log.events == []
        assert (await client.stats()).subscriptions == 0


async def test_a_log_is_a_listener_like_any_other() -> None:
    log = EventLog()
    async with Client() as client:
        with client.house.hub.listen(log):
            session = await client.create_session()

    assert {event.session_id for event in log.events} == {session.id}
