"""A world whose time passes when a test says so, and whose chance repeats."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from math import isfinite

import anyio
import anyio.lowlevel

# So many rounds everything usually needs to come to rest; whoever needs more is waited for.
_ROUNDS = 10
_START = datetime(2030, 1, 1, tzinfo=UTC)
# Real seconds between looks at what is under way outside.
_SOON = 0.0005


class _Sleeper:
    """One `sleep_until`. Ordered by deadline, then by who came first."""

    __slots__ = ("deadline", "event", "number")

    def __init__(self, deadline: float, number: int) -> None:
        self.deadline = deadline
        self.number = number
        self.event: anyio.Event | None = anyio.Event()

    def __lt__(self, other: _Sleeper) -> bool:
        return (self.deadline, self.number) < (other.deadline, other.number)


class VirtualWorld:
    """A `World` for tests. Nothing in it sleeps for real, and the same seed gives the same ids and chances.

    `await world.advance(300)` lets five minutes pass: whoever sleeps wakes at its own time, in order, and
    what that sets off has come to rest before the next one wakes. It works on asyncio and on trio.

    What other threads do for the loop takes real time. `is_busy` may be set to a function that says whether any of it
    is under way: then no time passes meanwhile.
    """

    def __init__(self, seed: int = 0, *, start: datetime = _START) -> None:
        self.seed = seed
        self._start = start
        self._elapsed = 0.0
        self._random = random.Random(seed)
        self._sleepers: list[_Sleeper] = []
        self._numbers = count()
        self._gone = 0
        self._advancing = False
        self.is_busy: Callable[[], bool] | None = None

    def __repr__(self) -> str:
        return f"<VirtualWorld seed={self.seed}: {self._elapsed:g} s passed, {self.sleeping} sleeping>"

    @property
    def sleeping(self) -> int:
        """How many are waiting for their time."""
        return len(self._sleepers) - self._gone

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def random(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        return uuid.UUID(int=self._random.getrandbits(128), version=4).hex

    def set_wall_clock(self, now: datetime) -> None:
        """Let `now()` jump, as wall clocks do. `monotonic()` does not notice."""
        self._start = now - timedelta(seconds=self._elapsed)

    async def sleep_until(self, deadline: float) -> None:
        if deadline <= self._elapsed:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = _Sleeper(deadline, next(self._numbers))
        assert sleeper.event is not None
        heappush(self._sleepers, sleeper)
        try:
            await sleeper.event.wait()
        except BaseException:
            self._forget(sleeper)
            raise

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass. When this returns, everything they set off has come to rest."""
        if not isfinite(seconds) or seconds < 0:
            raise ValueError(f"time passes forwards, by a finite number of seconds; not {seconds!r}")
        if self._advancing:
            raise RuntimeError("somebody else is advancing this world")
        self._advancing = True
        try:
            await self._pass(self._elapsed + seconds)
        finally:
            self._advancing = False

    async def settle(self) -> None:
        """Wait until everybody waits: for a time that has not come, or for the caller."""
        await self._come_to_rest()
        while self.is_busy is not None and self.is_busy():
            await anyio.sleep(_SOON)
            if not self.is_busy():
                await self._come_to_rest()

    @staticmethod
    async def _come_to_rest() -> None:
        for _ in range(_ROUNDS):
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()

    async def _pass(self, until: float) -> None:
        await self.settle()
        while self._sleepers and (deadline := self._sleepers[0].deadline) <= until:
            self._elapsed = max(self._elapsed, deadline)
            for sleeper in self._due():
                sleeper.set()
            await self.settle()
        self._elapsed = max(self._elapsed, until)
        await self.settle()

    def _due(self) -> Iterator[anyio.Event]:
        while self._sleepers and self._sleepers[0].deadline <= self._elapsed:
            event = heappop(self._sleepers).event
            if event is None:
                self._gone -= 1
            else:
                yield event

    def _forget(self, sleeper: _Sleeper) -> None:
        # It may have been woken in the same moment: then it is no longer in the heap.
        if sleeper.event is None or sleeper.event.is_set():
            return
        sleeper.event = None
        self._gone += 1
        if self._gone > 64 and self._gone * 2 > len(self._sleepers):
            self._sleepers = [other for other in self._sleepers if other.event is not None]
            heapify(self._sleepers)
            self._gone = 0
