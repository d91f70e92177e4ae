"""A virtual world: time passes when the test says so, and chance repeats."""

import time
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import TaskStatus

from jidoka.testing.world import VirtualWorld


class Sleepers:
    """Tasks that sleep in a world, and what they did when they woke."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.woken: list[tuple[str, float]] = []

    async def sleep(self, name: str, *delays: float) -> None:
        for delay in delays:
            await self.world.sleep_until(self.world.monotonic() + delay)
            self.woken.append((name, self.world.monotonic()))


async def test_nothing_happens_until_time_passes() -> None:
    world = VirtualWorld()
    sleepers = Sleepers(world)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleepers.sleep, "a", 1.0)
        await world.advance(0.999)
        before = list(sleepers.woken)
        await world.advance(0.001)

    assert before == []
    assert sleepers.woken == [("a", 1.0)]


async def test_everybody_wakes_at_their_own_time_in_order() -> None:
    world = VirtualWorld()
    sleepers = Sleepers(world)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleepers.sleep, "late", 30.0)
        tasks.start_soon(sleepers.sleep, "early", 10.0, 10.0, 10.5)
        tasks.start_soon(sleepers.sleep, "soon", 5.0)
        await world.advance(3600)

    assert sleepers.woken == [
        *(("soon", 5.0), ("early", 10.0), ("early", 20.0), ("late", 30.0), ("early", 30.5)),
    ]
    assert world.monotonic() == 3600


async def test_what_waking_sets_off_has_come_to_rest_before_the_next_one_wakes() -> None:
    world = VirtualWorld()
    log: list[str] = []

    async def first() -> None:
        await world.sleep_until(1)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        log.append(f"first, at {world.monotonic():g}")

    async def second() -> None:
        await world.sleep_until(1.5)
        log.append("second")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        tasks.start_soon(second)
        await world.advance(2)

    assert log == ["first, at 1", "second"]


async def test_sleeping_until_a_time_that_has_passed_returns_at_once() -> None:
    world = VirtualWorld()
    await world.advance(10)

    await world.sleep_until(10)
    await world.sleep_until(3)

    assert world.sleeping == 0


async def test_even_a_sleep_that_is_over_can_be_cancelled() -> None:
    world = VirtualWorld()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await world.sleep_until(0)

    assert scope.cancelled_caught


async def test_a_cancelled_sleeper_leaves_nothing_behind() -> None:
    world = VirtualWorld()
    sleepers = Sleepers(world)

    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(sleepers.sleep, str(number), 5.0 + number)
        await world.settle()
        asleep = world.sleeping
        tasks.cancel_scope.cancel()

    assert (asleep, world.sleeping) == (200, 0)
    await world.advance(1000)
    assert sleepers.woken == []


async def test_a_sleeper_that_is_woken_and_cancelled_at_once_is_counted_once() -> None:
    world = VirtualWorld()
    scopes: list[anyio.CancelScope] = []

    async def sleep(*, task_status: TaskStatus[None]) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            task_status.started()
            await world.sleep_until(5)

    async def canceller() -> None:
        await world.sleep_until(5)
        scopes[0].cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(canceller)
        await world.settle()
        await tasks.start(sleep)
        await world.advance(10)

    assert world.sleeping == 0


async def test_cancelled_sleepers_are_passed_over() -> None:
    world = VirtualWorld()
    sleepers = Sleepers(world)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleepers.sleep, "stays", 20.0)
        async with anyio.create_task_group() as cancelled:
            for number in range(10):
                cancelled.start_soon(sleepers.sleep, str(number), 5.0 + number)
            await world.settle()
            cancelled.cancel_scope.cancel()
        asleep = world.sleeping
        await world.advance(10)
        still = world.sleeping
        await world.advance(10)

    assert (asleep, still, world.sleeping) == (1, 1, 0)
    assert sleepers.woken == [("stays", 20.0)]


async def test_thousands_of_sleepers_of_one_deadline_wake_together() -> None:
    world = VirtualWorld()
    sleepers = Sleepers(world)

    async with anyio.create_task_group() as tasks:
        for number in range(2000):
            tasks.start_soon(sleepers.sleep, f"{number:04}", 300.0)
        await world.advance(300)

    assert len(sleepers.woken) == 2000
    assert world.sleeping == 0


async def test_a_day_passes_at_once() -> None:
    world = VirtualWorld()
    sleepers = Sleepers(world)
    began = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleepers.sleep, "hourly", *[3600.0] * 24)
        await world.advance(86_400)

    assert len(sleepers.woken) == 24
    assert anyio.current_time() - began < 5


async def test_time_only_goes_forward() -> None:
    world = VirtualWorld()

    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="forwards"):
            await world.advance(seconds)

    assert world.monotonic() == 0


async def test_two_cannot_advance_one_world() -> None:
    world = VirtualWorld()

    async def meddle() -> None:
        await world.sleep_until(1)
        with pytest.raises(RuntimeError, match="somebody else"):
            await world.advance(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(meddle)
        await world.advance(2)

    assert world.monotonic() == 2


def test_the_same_seed_gives_the_same_world() -> None:
    one, same, other = VirtualWorld(7), VirtualWorld(7), VirtualWorld(8)

    def taste(world: VirtualWorld) -> list[object]:
        return [world.new_id(), world.random(), world.new_id(), world.random()]

    assert taste(one) == taste(same)
    assert taste(VirtualWorld(7)) != taste(other)


def test_ids_and_chances_are_what_a_world_promises() -> None:
    world = VirtualWorld()

    ids = [world.new_id() for _ in range(1000)]
    chances = [world.random() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert all(len(id) == 32 and set(id) <= set("0123456789abcdef") for id in ids)
    assert all(0 <= chance < 1 for chance in chances)


async def test_the_wall_clock_goes_with_the_time_and_may_jump() -> None:
    start = datetime(2031, 5, 5, tzinfo=UTC)
    world = VirtualWorld(start=start)

    await world.advance(90)
    passed = world.now()
    world.set_wall_clock(start - timedelta(hours=1))
    jumped = world.now()
    await world.advance(60)

    assert passed == start + timedelta(seconds=90)
    assert jumped == start - timedelta(hours=1)
    assert world.now() == jumped + timedelta(seconds=60)
    assert world.monotonic() == 150


def test_it_shows_itself() -> None:
    assert repr(VirtualWorld(3)) == "<VirtualWorld seed=3: 0 s passed, 0 sleeping>"


async def test_no_time_passes_while_a_thread_is_at_work() -> None:
    world = VirtualWorld()
    at_work: list[str] = []
    log: list[tuple[str, float]] = []

    async def work() -> None:
        await world.sleep_until(1.0)
        at_work.append("thread")
        await anyio.to_thread.run_sync(time.sleep, 0.01)
        at_work.clear()
        log.append(("worked", world.monotonic()))

    world.is_busy = lambda: bool(at_work)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await world.advance(3600)

    assert log == [("worked", 1.0)]
