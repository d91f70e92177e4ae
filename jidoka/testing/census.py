"""Who is there: counted before and after, so that nothing is left behind unnoticed."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import anyio

from jidoka.actors.supervisor import Supervisor
from jidoka.adapters.tool_threads import THREAD_NAME

if TYPE_CHECKING:
    from jidoka.actors.cell import Cell
    from jidoka.client import Client

# A tool's thread is at its end when it has answered, and one that was abandoned is counted as that. Trio keeps some.
_NOT_COUNTED = (THREAD_NAME, "Trio thread")


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are of everything that can leak. Pooled workers that rest are not counted."""

    tasks: int
    threads: int
    actors: int
    waiting_messages: int
    timers: int
    abandoned: int
    topics: int
    subscriptions: int
    registry_rows: int
    cached_files: int

    def differences(self, before: Census) -> dict[str, int]:
        """What there is more of, or less, than *before*."""
        changes = {field.name: getattr(self, field.name) - getattr(before, field.name) for field in fields(self)}
        # Threads that end meanwhile are other people's: jidoka keeps none.
        changes["threads"] = max(0, changes["threads"])
        return {name: change for name, change in changes.items() if change}


def take_census(client: Client) -> Census:
    """Count everything that is there now."""
    house = client.house
    system = house.system
    assert house.top is not None
    return Census(
        tasks=len(anyio.get_running_tasks()) - system.scheduler.workers,
        threads=sum(not thread.name.startswith(_NOT_COUNTED) for thread in threading.enumerate()),
        actors=system.cells,
        waiting_messages=_waiting(house.top.cell),
        timers=len(system.timers),
        abandoned=len(system.abandoned) + len(house.tools.abandoned),
        topics=len(house.hub.topics),
        subscriptions=house.hub.count,
        registry_rows=len(house.registry),
        cached_files=house.files.stats().items,
    )


def _waiting(cell: Cell) -> int:
    actor = cell.actor
    children = actor.children.values() if isinstance(actor, Supervisor) else ()
    return cell.mail_count + sum(_waiting(child.cell) for child in children if child.cell is not None)


@asynccontextmanager
async def nothing_left_behind(client: Client) -> AsyncGenerator[None]:
    """A block after which everything is as it was before. Raises AssertionError with what is not."""
    before = take_census(client)
    yield
    await anyio.wait_all_tasks_blocked()
    left = take_census(client).differences(before)
    if left:
        raise AssertionError(f"left behind: {left}")
