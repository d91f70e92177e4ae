"""Everything an actor system does later: one heap, one sleeping task, on the clock that was handed in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from jidoka.ports.world import World

log = logging.getLogger("jidoka.actors")

# [deadline, tie-breaker, function or None once cancelled, argument]
Timer = list[Any]


class Timers:
    """Calls functions at their time. Cancelling is O(1); cancelled entries are swept when they outnumber the rest."""

    __slots__ = ("_cancelled", "_heap", "_number", "_scope", "_wakes_at", "_world", "clock")

    def __init__(self, world: World) -> None:
        self._world = world
        self.clock = world.monotonic
        self._heap: list[Timer] = []
        self._number = count()
        self._cancelled = 0
        self._wakes_at = -inf
        self._scope: anyio.CancelScope | None = None

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def after(self, delay: float, call: Callable[[Any], object], argument: object = None) -> Timer:
        """Call *call* with *argument* once *delay* seconds have passed, unless it is cancelled before."""
        timer: Timer = [self.clock() + delay, next(self._number), call, argument]
        heappush(self._heap, timer)
        if timer[0] < self._wakes_at and self._scope is not None:
            self._scope.cancel()
        return timer

    def cancel(self, timer: Timer) -> None:
        """Forget *timer*. Fine when it has fired already."""
        if timer[2] is None:
            return
        timer[2] = timer[3] = None
        self._cancelled += 1
        if self._cancelled > 1024 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2] is not None]
            heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Fire what is due, sleep until the next, for ever."""
        while True:
            self._fire()
            self._wakes_at = self._heap[0][0] if self._heap else inf
            with anyio.CancelScope() as self._scope:
                if self._heap:
                    await self._world.sleep_until(self._wakes_at)
                else:
                    await anyio.sleep_forever()

    def _fire(self) -> None:
        now = self.clock()
        # What is set meanwhile, for at once, has its turn after everybody else.
        limit = next(self._number)
        while self._heap and self._heap[0][0] <= now and self._heap[0][1] < limit:
            timer = heappop(self._heap)
            call, argument = timer[2], timer[3]
            if call is None:
                self._cancelled -= 1
                continue
            timer[2] = timer[3] = None
            try:
                call(argument)
            except Exception:
                log.exception("a timer's function failed")
