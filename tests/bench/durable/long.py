"""One long session beside short ones: what an append costs, a turn, a full read, the newest messages, the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any

from tests.bench.durable.backend import WINDOW, Backend, Backends, bytes_written, new_file, opened, session_ids, size_of
from tests.bench.durable.texts import messages, pair
from tests.bench.measures import Figures, Pace, in_ms

SHORT = 10
HOW_MANY_SHORT = 20
ROUND = 10
SECONDS = 2.0
READS = 200


class Cost:
    """What calls cost: seconds and bytes written, each."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.bytes = 0

    async def add(self, calls: list[Callable[[], Awaitable[object]]]) -> None:
        """Carry out *calls*, one after the other."""
        before = bytes_written()
        for call in calls:
            began = perf_counter()
            await call()
            self.took.append(perf_counter() - began)
        self.bytes += bytes_written() - before

    @property
    def ms(self) -> float:
        """Median, in milliseconds."""
        return median(self.took) * 1e3

    @property
    def bytes_each(self) -> float:
        """Bytes written per call."""
        return self.bytes / len(self.took)


class Lengths:
    """A long session and short ones: both kinds are given the same work in turn, so that both see the same machine."""

    def __init__(self, backend: Backend, long: Any, short: list[Any]) -> None:
        self._backend = backend
        self.long = long
        self._short = short
        self._number = 0

    async def compare(self, act: Callable[[Any, int], Awaitable[object]], times: int) -> tuple[Cost, Cost]:
        """What *act* costs at the long session, and at the short ones."""
        at_long, at_short = Cost(), Cost()
        await act(self.long, self._next())
        for round, size in enumerate(Pace(times, slices=max(1, times // ROUND), seconds=SECONDS)):
            await at_long.add([self._call(act, self.long) for _ in range(size)])
            short = self._short[round % len(self._short)]
            await at_short.add([self._call(act, short) for _ in range(size)])
        return at_long, at_short

    def _call(self, act: Callable[[Any, int], Awaitable[object]], session: Any) -> Callable[[], Awaitable[object]]:
        number = self._next()
        return lambda: act(session, number)

    def _next(self) -> int:
        self._number += 1
        return self._number


async def filled(backend: Backend, size: int) -> float:
    """Store a session of *size* messages and short ones beside it: what a message of the long one takes on the disk."""
    long, *short = session_ids(1 + HOW_MANY_SHORT)
    async with opened(backend):
        await backend.fill({long: messages(size)})
    bytes_each = size_of(backend.place) / size
    async with opened(backend):
        await backend.fill({session_id: messages(SHORT) for session_id in short})
    return bytes_each


async def lengths(backend: Backend) -> Lengths:
    """The sessions of `filled`."""
    long, *short = [await backend.find(session_id) for session_id in session_ids(1 + HOW_MANY_SHORT)]
    return Lengths(backend, long, short)


async def time(act: Callable[[], Awaitable[Any]], times: int, expected: int) -> float:
    """Median milliseconds of reading *expected* messages."""
    took: list[float] = []
    for _ in Pace(times, slices=times, seconds=SECONDS):
        began = perf_counter()
        found = await act()
        took.append(perf_counter() - began)
        if len(found) != expected:
            raise RuntimeError(f"{len(found)} of {expected} messages came back")
    return median(took) * 1e3


async def long(backends: Backends, size: int, pairs: int) -> Figures:
    """Appending to a long session, and reading it."""
    path = new_file()
    disk = await filled(backends(path), size)
    async with opened(backends(path)) as backend:
        sessions = await lengths(backend)
        last = await time(lambda: backend.recent(sessions.long, WINDOW), READS, WINDOW)
        everything = await time(lambda: backend.everything(sessions.long), READS // 10, size)
        at_long, at_short = await sessions.compare(lambda session, number: backend.add(session, pair(number)), pairs)
    figures = {
        "last": last,
        "everything": everything,
        "growth": at_long.ms / at_short.ms,
        "bytes": at_long.bytes_each,
        "bytes_growth": at_long.bytes_each / max(1.0, at_short.bytes_each),
    }
    return {**figures, "disk": disk} if backend.is_filled_as_written else figures


async def turn(backends: Backends, size: int, turns: int) -> Figures:
    """A turn at a long session and at short ones."""
    path = new_file()
    await filled(backends(path), size)
    async with opened(backends(path)) as backend:
        sessions = await lengths(backend)
        at_long, at_short = await sessions.compare(lambda session, number: backend.turn(session, pair(number)), turns)
    figures = {"ms": at_long.ms, "short_ms": at_short.ms, "growth": at_long.ms / at_short.ms}
    return {**figures, "p99": in_ms(at_long.took)["p99"]}
