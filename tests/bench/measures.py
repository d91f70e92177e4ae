"""What every contestant measures with: loops that end in time, memory of the process, percentiles."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from time import perf_counter

Figures = dict[str, float]
SECONDS = 10.0
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Pace:
    """A loop in slices, bounded in count and in time: `for size in pace: …`, then `pace.rate`."""

    def __init__(self, count: int, *, slices: int = 20, seconds: float = SECONDS) -> None:
        self._count = count
        self._slice = max(1, count // slices)
        self._seconds = seconds
        self.done = 0
        self.seconds = 0.0

    def __iter__(self) -> Iterator[int]:
        began = perf_counter()
        while self.done < self._count and self.seconds < self._seconds:
            size = min(self._slice, self._count - self.done)
            yield size
            self.done += size
            self.seconds = perf_counter() - began

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.done / self.seconds


def resident() -> int:
    """Bytes of memory that this process holds; 0 where nobody says."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0


def kib_each(before: int, count: int) -> float:
    """What each of *count* takes, in KiB, since *before*."""
    return (resident() - before) / 1024 / count


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value that *share* of them do not exceed."""
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


def in_ms(seconds: list[float]) -> Figures:
    """Median and 99th percentile of *seconds*, in milliseconds."""
    seconds.sort()
    return {"p50": percentile(seconds, 0.5) * 1e3, "p99": percentile(seconds, 0.99) * 1e3}
