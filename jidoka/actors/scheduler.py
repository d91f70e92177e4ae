"""The run queue: cells with work, and the few tasks that do it.

A worker drains the queue. When a cell's work has to be awaited, the worker awaits it natively, so that scopes and
timeouts mean what they say, and another worker looks after the queue meanwhile (leader and followers). Idle cells
own no task at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from anyio.lowlevel import cancel_shielded_checkpoint

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from jidoka.actors.backend import Backend, Slot

# Cells in a row before the worker lets the rest of the loop run.
TURN = 128
# Idle workers beyond these go home.
POOL = 32


class Runnable(Protocol):
    """What stands in the queue."""

    def run(self) -> Coroutine[Any, Any, None] | None:
        """Do what can be done at once. What has to be awaited comes back."""
        ...


class Scheduler:
    """Puts cells on the queue, and sees to it that somebody looks at the queue."""

    __slots__ = ("_armed", "_backend", "_idle", "_ready", "_tasks", "_wanted", "workers")

    def __init__(self, backend: Backend, tasks: TaskGroup) -> None:
        self._backend = backend
        self._tasks = tasks
        self._ready: deque[Runnable] = deque()
        self._idle: list[Slot] = []
        # Whether a worker is running or has been woken: it will look at the queue before it rests.
        self._armed = False
        self._wanted: Slot = backend.new_slot()
        self.workers = 0

    def add(self, cell: Runnable) -> None:
        """Queue *cell*. It must not be queued already."""
        self._ready.append(cell)
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        if self._idle:
            self._idle.pop().set_result(None)
        elif not self._wanted.done():
            self._wanted.set_result(None)

    async def run(self) -> None:
        """Take on workers when they are wanted, for ever. Callbacks of the loop cannot: they are in no task."""
        while True:
            await self._wanted
            self._wanted = self._backend.new_slot()
            self.workers += 1
            self._tasks.start_soon(self._work)

    async def _work(self) -> None:
        ready = self._ready
        try:
            while True:
                # Whether it is this worker that will look at the queue before it rests.
                leads = True
                turn = TURN
                while ready:
                    waiting = ready.popleft().run()
                    if waiting is not None:
                        leads = await self._follow(waiting, leads)
                    turn -= 1
                    if not turn:
                        if not leads:
                            # Another one has been woken: two would take twice the time from the rest of the loop.
                            break
                        turn = TURN
                        await cancel_shielded_checkpoint()
                if leads:
                    self._armed = False
                if len(self._idle) >= POOL:
                    return
                slot = self._backend.new_slot()
                self._idle.append(slot)
                await slot
        finally:
            self.workers -= 1

    async def _follow(self, waiting: Coroutine[Any, Any, None], leads: bool) -> bool:
        """Await *waiting*, while another worker leads. Whether this one leads afterwards."""
        if leads:
            self._armed = False
            if self._ready:
                self._arm()
        await waiting
        if self._armed:
            return False
        self._armed = True
        return True
