"""Waits no longer than until a time of the world."""

import anyio
import pytest

from jidoka.adapters.waiting import in_time
from jidoka.testing.world import VirtualWorld


async def test_an_answer_in_time_is_the_answer() -> None:
    async def answer() -> int:
        return 7

    assert await in_time(VirtualWorld(), 1.0, answer) == 7


async def test_an_error_comes_as_it_is() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await in_time(VirtualWorld(), 1.0, fail)


async def test_at_the_deadline_it_is_cancelled() -> None:
    world = VirtualWorld()
    ended = anyio.Event()

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.advance, 5.0)
        with pytest.raises(TimeoutError):
            await in_time(world, 5.0, wait)

    assert ended.is_set()
    assert world.sleeping == 0


async def test_a_cancellation_from_outside_is_none_of_its_business() -> None:
    world = VirtualWorld()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await in_time(world, 5.0, anyio.sleep_forever)

    assert scope.cancelled_caught
    assert world.sleeping == 0
