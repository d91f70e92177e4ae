"""Time, chance and ids: handed in, so that a test can let an hour pass at once and run twice alike."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime
from typing import Protocol

import anyio
import anyio.lowlevel


class World(Protocol):
    """Where time, chance and ids come from."""

    def monotonic(self) -> float:
        """Seconds that never go back. Deadlines are made of these."""
        ...

    def now(self) -> datetime:
        """The wall clock, aware, UTC. It may jump: for records and people, never for order."""
        ...

    def random(self) -> float:
        """At least 0 and less than 1."""
        ...

    def new_id(self) -> str:
        """32 hexadecimal digits nobody else has."""
        ...

    async def sleep_until(self, deadline: float) -> None:
        """Return once `monotonic()` has reached *deadline*, never before."""
        ...


# Longer sleeps are taken in parts: not every event loop can count that far.
_LONGEST_SLEEP = 86_400.0
# Asking the system for chance lets go of the interpreter, and a busy thread may keep it for a while: ask seldom.
_AT_ONCE = 256
_drawn: list[int] = []
os.register_at_fork(after_in_child=_drawn.clear)
# The bits of a random UUID that are not random: version 4, variant RFC 4122.
_UUID4 = 0x4000_8000_0000_0000_0000
_NOT_FIXED = (1 << 128) - 1 & ~0xF000_C000_0000_0000_0000


class SystemWorld:
    """Real time, real chance, real ids."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    random = staticmethod(random.random)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        # What uuid4().hex does, in half the time.
        return f"{_draw() & _NOT_FIXED | _UUID4:032x}"

    async def sleep_until(self, deadline: float) -> None:
        await anyio.lowlevel.checkpoint()
        # A loop's timer may fire a little early by this clock.
        while (remaining := deadline - time.monotonic()) > 0:  # noqa: ASYNC110
            await anyio.sleep(min(remaining, _LONGEST_SLEEP))


def _draw() -> int:
    """128 bits of chance, each once: whatever thread takes it, and in whatever process."""
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            raw = os.urandom(16 * _AT_ONCE)
            _drawn.extend(int.from_bytes(raw[start : start + 16]) for start in range(0, len(raw), 16))
