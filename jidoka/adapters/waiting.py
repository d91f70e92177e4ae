"""Waits no longer than until a time of the world that was handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from jidoka.ports.world import World

T = TypeVar("T")


async def in_time(world: World, deadline: float, call: Callable[[], Awaitable[T]]) -> T:
    """What *call* returns or raises. Raises TimeoutError at *deadline*, when it has been cancelled.

    An exception comes as it is, not in a group.
    """
    answer: list[T] = []
    error: list[Exception] = []
    is_late = False

    async def work() -> None:
        try:
            answer.append(await call())
        except Exception as raised:
            error.append(raised)

    async def watch() -> None:
        nonlocal is_late
        await world.sleep_until(deadline)
        is_late = True
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await work()
        tasks.cancel_scope.cancel()
    if error:
        raise error[0]
    if not answer:
        assert is_late
        raise TimeoutError
    return answer[0]
