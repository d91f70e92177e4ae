"""Writing: sessions created and messages appended, by one caller and by sixteen at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from time import perf_counter

from tests.bench.durable.backend import Backends, new_file, opened, session_ids
from tests.bench.durable.texts import messages
from tests.bench.measures import Figures, in_ms

AT_ONCE = 16
SECONDS = 2.0

Call = Callable[[], Awaitable[object]]


class Timed:
    """Calls by several callers at once, each waiting for its own: how many a second, and how long each took."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.seconds = 0.0

    async def run(self, callers: list[Call], each: int, seconds: float = SECONDS) -> None:
        """Every caller calls *each* times, or until *seconds* are over."""
        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for call in callers:
                group.create_task(self._repeat(call, each, began + seconds))
        self.seconds += perf_counter() - began

    async def _repeat(self, call: Call, times: int, end: float) -> None:
        for _ in range(times):
            began = perf_counter()
            if began > end:
                return
            await call()
            self.took.append(perf_counter() - began)

    @property
    def rate(self) -> float:
        """How many calls a second."""
        return len(self.took) / self.seconds


async def create(backends: Backends, sessions: int, *, normal: bool = False) -> Figures:
    """New sessions, each stored before the next one of the same caller."""
    ids = iter(session_ids(2 * sessions + AT_ONCE))
    alone, together = Timed(), Timed()
    async with opened(backends(new_file(), normal=normal)) as backend:

        async def one() -> None:
            await backend.create(next(ids))

        await alone.run([one], sessions)
        await together.run([one] * AT_ONCE, sessions // AT_ONCE)
    return {"one": alone.rate, "one_p99": in_ms(alone.took)["p99"], "many": together.rate}


async def append(
    backends: Backends, calls: int, size: int, *, place: str | None = None, normal: bool = False
) -> Figures:
    """*size* messages in one call, the next when they are durable: to one session, then to sixteen at once."""
    alone, together = Timed(), Timed()
    async with opened(backends(place or new_file(), normal=normal)) as backend:

        async def appender(session_id: str) -> Call:
            session, numbers = await backend.create(session_id), count()

            async def one() -> None:
                await backend.add(session, messages(size, first=next(numbers) * size))

            return one

        first, *others = [await appender(session_id) for session_id in session_ids(1 + AT_ONCE, seed=calls)]
        await alone.run([first], calls)
        await together.run(others, max(1, calls // 4))
    one, many = in_ms(alone.took), in_ms(together.took)
    return {
        "one": alone.rate * size,
        "one_p99": one["p99"],
        "many": together.rate * size,
        "many_p50": many["p50"],
        "many_p99": many["p99"],
    }
