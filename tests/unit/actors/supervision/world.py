"""Time that only moves when a test says so, also beside code that never rests."""

import asyncio
from typing import Any

import anyio.lowlevel
import sniffio

from jidoka.testing.world import VirtualWorld


class PatientWorld(VirtualWorld):
    """A virtual world that does not wait for ever for actors that ignore their cancellation."""

    async def settle(self) -> None:
        await settle()


async def settle(rounds: int = 2_000) -> None:
    """Let everybody run until nobody can. Code that never rests is given *rounds* turns."""
    quiet = 0
    # On trio, whoever shares our turn is not seen as runnable when it happens to run after us.
    enough = 3 if sniffio.current_async_library() == "asyncio" else 30
    while rounds and quiet < enough:
        rounds -= 1
        await anyio.lowlevel.checkpoint()
        quiet = quiet + 1 if _is_quiet() else 0


def _is_quiet() -> bool:
    if sniffio.current_async_library() == "trio":
        import trio

        about: Any = trio.lowlevel.current_statistics()
        return about.tasks_runnable == 0 and about.run_sync_soon_queue_size == 0
    me = asyncio.current_task()
    for task in asyncio.all_tasks():
        waiter = getattr(task, "_fut_waiter", None)
        if task is not me and (waiter is None or waiter.done()):
            return False
    return True
