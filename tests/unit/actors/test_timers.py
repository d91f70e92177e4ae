"""Timers: at their time, in order, and gone when they are cancelled."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from jidoka.actors.timers import Timers
from jidoka.testing.world import VirtualWorld


@pytest.fixture
async def timers(world: VirtualWorld) -> AsyncIterator[Timers]:
    made = Timers(world)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        yield made
        tasks.cancel_scope.cancel()


async def test_timers_fire_at_their_time_in_order(timers: Timers, world: VirtualWorld) -> None:
    fired: list[tuple[Any, float]] = []
    for delay in (3.0, 1.0, 2.0):
        timers.after(delay, lambda name: fired.append((name, world.monotonic())), f"after {delay}")

    await world.advance(10.0)

    assert fired == [("after 1.0", 1.0), ("after 2.0", 2.0), ("after 3.0", 3.0)]


async def test_timers_of_the_same_time_fire_in_the_order_they_were_set(timers: Timers, world: VirtualWorld) -> None:
    fired: list[Any] = []
    for number in range(100):
        timers.after(1.0, fired.append, number)

    await world.advance(1.0)

    assert fired == list(range(100))


async def test_an_earlier_timer_wakes_the_sleeper(timers: Timers, world: VirtualWorld) -> None:
    fired: list[Any] = []
    timers.after(100.0, fired.append, "late")
    await world.settle()
    timers.after(1.0, fired.append, "early")

    await world.advance(1.0)

    assert fired == ["early"]


async def test_a_cancelled_timer_does_not_fire_and_frees_what_it_held(timers: Timers, world: VirtualWorld) -> None:
    fired: list[Any] = []
    timer = timers.after(1.0, fired.append, "x")

    timers.cancel(timer)
    timers.cancel(timer)

    assert timer[2] is timer[3] is None
    assert len(timers) == 0
    await world.advance(2.0)
    assert fired == []


async def test_cancelling_a_timer_that_has_fired_is_fine(timers: Timers, world: VirtualWorld) -> None:
    timer = timers.after(1.0, lambda _: None)
    await world.advance(1.0)

    timers.cancel(timer)

    assert len(timers) == 0


async def test_a_function_that_fails_stops_no_other(
    timers: Timers, world: VirtualWorld, caplog: pytest.LogCaptureFixture
) -> None:
    fired: list[Any] = []

    def fail(_: Any) -> None:
        raise ValueError

    timers.after(1.0, fail)
    timers.after(1.0, fired.append, "next")
    await world.advance(1.0)

    assert fired == ["next"]
    assert "a timer's function failed" in caplog.text


async def test_a_timer_may_set_and_cancel_timers(timers: Timers, world: VirtualWorld) -> None:
    fired: list[Any] = []
    other = timers.after(1.5, fired.append, "cancelled")

    def first(_: Any) -> None:
        timers.cancel(other)
        timers.after(0.0, fired.append, "at once")
        timers.after(1.0, fired.append, "later")

    timers.after(1.0, first)
    await world.advance(5.0)

    assert fired == ["at once", "later"]


def test_cancelled_timers_are_swept_when_they_outnumber_the_rest(world: VirtualWorld) -> None:
    timers = Timers(world)
    fired: list[Any] = []
    kept = [timers.after(float(number), fired.append, number) for number in range(500)]

    for _ in range(10):
        for timer in [timers.after(1.0, fired.append, "never") for _ in range(1000)]:
            timers.cancel(timer)

    assert len(timers) == len(kept)
    assert len(timers._heap) < 3000
    assert [timer[0] for timer in sorted(timers._heap) if timer[2] is not None] == [timer[0] for timer in kept]


async def test_timers_left_after_a_sweep_fire_in_order(timers: Timers, world: VirtualWorld) -> None:
    fired: list[Any] = []
    for number in reversed(range(100)):
        timers.after(float(number), fired.append, number)
    for timer in [timers.after(50.0, fired.append, "never") for _ in range(5000)]:
        timers.cancel(timer)

    await world.advance(200.0)

    assert fired == list(range(100))
