"""The world as it is."""

import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import anyio

from jidoka.ports.world import SystemWorld


def test_ids_are_random_uuids() -> None:
    world = SystemWorld()

    ids = {world.new_id() for _ in range(1000)}

    assert len(ids) == 1000
    for id in ids:
        assert UUID(id).hex == id
        assert UUID(id).version == 4
        assert UUID(id).variant == "specified in RFC 4122"


def test_now_is_aware_and_utc() -> None:
    now = SystemWorld().now()

    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)  # noqa: TID251


def test_chance_is_between_zero_and_one() -> None:
    assert all(0 <= SystemWorld().random() < 1 for _ in range(100))


async def test_it_does_not_wake_early() -> None:
    world = SystemWorld()

    for delay in (0.0, 0.001, 0.0101, 0.02):
        deadline = world.monotonic() + delay
        await world.sleep_until(deadline)
        assert time.monotonic() >= deadline


async def test_a_deadline_that_has_passed_still_lets_others_run() -> None:
    world = SystemWorld()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await world.sleep_until(world.monotonic() - 5)

    assert scope.cancelled_caught


async def test_it_can_sleep_for_ever() -> None:
    world = SystemWorld()

    with anyio.move_on_after(0.01) as scope:
        await world.sleep_until(float("inf"))

    assert scope.cancelled_caught


def test_a_forked_process_has_ids_of_its_own() -> None:
    SystemWorld().new_id()
    ours, theirs = os.pipe()

    child = os.fork()
    if child == 0:
        os.write(theirs, " ".join(SystemWorld().new_id() for _ in range(300)).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours) as said:
        from_the_child = set(said.read().split())
    os.waitpid(child, 0)

    assert len(from_the_child) == 300
    assert from_the_child.isdisjoint(SystemWorld().new_id() for _ in range(300))
