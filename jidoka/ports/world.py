"""Time, chance and ids: handed in, so that a test can let an hour pass at once and run twice alike."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


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
