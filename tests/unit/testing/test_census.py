"""Census: it counts what can leak, and finds what did."""

import threading
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from jidoka import Client
from jidoka.actors import Actor
from jidoka.testing.census import nothing_left_behind, take_census
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor


async def test_a_session_that_comes_and_goes_leaves_nothing_behind() -> None:
    async with Client() as client, nothing_left_behind(client):
        session = await client.create_session()
        async with session.subscribe() as events:
            await session.prompt("hello")
            await anext(events)
        await kill_child(session, "orchestrator")
        await kill_supervisor(session)
        await kill_manager(client)
        await session.send_message("user", "still there?")
        await session.terminate()


async def test_a_session_that_stays_is_found() -> None:
    async with Client() as client:
        before = take_census(client)
        await client.create_session()
        left = take_census(client).differences(before)

        # A supervisor, a context manager, an orchestrator.
        assert (left["actors"], left["registry_rows"]) == (3, 1)
        with pytest.raises(AssertionError, match=r"left behind: .*'actors': 3"):
            async with nothing_left_behind(client):
                await client.create_session()


async def test_a_subscription_that_stays_is_found() -> None:
    async with Client() as client, AsyncExitStack() as stack:
        session = await client.create_session()

        with pytest.raises(AssertionError, match="'topics': 1, 'subscriptions': 1"):
            async with nothing_left_behind(client):
                await stack.enter_async_context(session.subscribe())


async def test_an_actor_and_the_messages_that_wait_for_it_are_found() -> None:
    async with Client() as client:
        before = take_census(client)
        go_on = anyio.Event()
        ref = await client.house.system.start(Waits, go_on)
        ref.tell("first")
        await anyio.wait_all_tasks_blocked()

        assert take_census(client).differences(before)["actors"] == 1
        go_on.set()
        await ref.stop()
        assert take_census(client).differences(before) == {}


async def test_a_timer_that_stays_is_found() -> None:
    async with Client() as client:
        before = take_census(client)
        timers = client.house.system.timers
        timer = timers.after(3600.0, print)

        assert take_census(client).differences(before) == {"timers": 1}
        timers.cancel(timer)
        assert take_census(client).differences(before) == {}


async def test_a_task_that_stays_is_found() -> None:
    async with Client() as client, anyio.create_task_group() as tasks:
        before = take_census(client)
        tasks.start_soon(anyio.sleep_forever)
        await anyio.wait_all_tasks_blocked()

        assert take_census(client).differences(before) == {"tasks": 1}
        tasks.cancel_scope.cancel()


async def test_a_cached_file_that_stays_is_found_and_goes_with_its_session() -> None:
    async with Client() as client:
        before = take_census(client)
        session = await client.create_session()
        client.files.cache_file("a.py", "pass", session_id=session.id)
        with_file = take_census(client).differences(before)
        await session.terminate()
        await anyio.wait_all_tasks_blocked()

        assert with_file["cached_files"] == 1
        assert take_census(client).differences(before) == {}


async def test_a_thread_that_stays_is_found_and_one_that_ends_is_nothing() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    async with Client() as client:
        before = take_census(client)
        thread.start()
        between = take_census(client)
        done.set()
        thread.join()

        assert between.differences(before) == {"threads": 1}
        assert take_census(client).differences(between) == {}


async def test_no_difference_is_empty() -> None:
    async with Client() as client:
        assert take_census(client).differences(take_census(client)) == {}
        async with nothing_left_behind(client):
            pass


class Waits(Actor):
    """Busy until it is told to go on."""

    def __init__(self, go_on: anyio.Event) -> None:
        super().__init__()
        self.go_on = go_on

    async def on_receive(self, message: Any) -> None:
        await self.go_on.wait()
