"""Calls of plain functions, each on a thread of its own, so that neither the loop nor another session waits for them.

Not anyio's threads: on asyncio they let go of their place when they are abandoned, and keep the interpreter from ending
(notes/features/tools.md).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio

from jidoka.adapters.waiting import in_time
from jidoka.core.tool_results import failed
from jidoka.core.tools import CallEnd

if TYPE_CHECKING:
    from jidoka.actors.backend import Backend, Slot
    from jidoka.ports.world import World


THREAD_NAME: Final = "jidoka tool"
"""What the threads' names begin with."""


class _Job:
    """A call, and the place for what comes of it."""

    def __init__(self, work: Callable[[], CallEnd], slot: Slot, when_done: Callable[[_Job], None]) -> None:
        self.work = work
        self.slot = slot
        self.is_done = False
        self.is_abandoned = False
        self._when_done = when_done

    def finish(self, end: CallEnd) -> None:
        """On the loop."""
        self.is_done = True
        if not self.slot.done():
            self.slot.set_result(end)
        self._when_done(self)


class ToolThreads:
    """As many at once as there is room for; whoever comes later waits, first come, first served.

    A thread cannot be ended. One whose call was given up is `abandoned` until it ends by itself: it makes room for
    others, and is held against its own tool only.
    """

    def __init__(self, backend: Backend, world: World, *, most: int, most_hung: int) -> None:
        self.abandoned: Counter[str] = Counter()
        self._backend = backend
        self._world = world
        self._most_hung = most_hung
        self._room = anyio.CapacityLimiter(most)

    def __repr__(self) -> str:
        return f"<ToolThreads: {self._room.borrowed_tokens} at work, {self.abandoned.total()} abandoned>"

    async def run(self, name: str, work: Callable[[], CallEnd], timeout: float) -> CallEnd:
        """What *work* comes to. Raises TimeoutError; cancelled or late, the thread is abandoned."""
        async with self._room:
            hung = self.abandoned[name]
            if hung >= self._most_hung:
                return CallEnd(
                    "error", f"{hung} earlier calls of this tool are still at work: it takes no more for now"
                )
            job = _Job(work, self._backend.new_slot(), lambda job: self._ended(name, job))
            thread = threading.Thread(target=self._run, args=(job,), name=f"{THREAD_NAME} {name}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                return failed(error)
            return await self._wait(name, job, timeout)

    async def _wait(self, name: str, job: _Job, timeout: float) -> CallEnd:
        async def answer() -> CallEnd:
            return await job.slot

        try:
            return await in_time(self._world, self._world.monotonic() + timeout, answer)
        finally:
            if not job.is_done:
                job.is_abandoned = True
                self.abandoned[name] += 1

    def _ended(self, name: str, job: _Job) -> None:
        if job.is_abandoned:
            self.abandoned[name] -= 1
            # A name that is counted at zero would stay.
            self.abandoned += Counter()

    def _run(self, job: _Job) -> None:
        try:
            end = job.work()
        except BaseException as error:
            end = failed(error)
        # The loop may be gone, and with it whoever waited.
        with suppress(RuntimeError):
            self._backend.post(lambda: job.finish(end))
