"""The world that a system uses when none is handed in: this machine's clock, chance and ids."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime

import anyio


class RealWorld:
    """Real time, real chance, real ids."""

    monotonic = staticmethod(time.monotonic)
    random = staticmethod(random.random)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return uuid.uuid4().hex

    async def sleep_until(self, deadline: float) -> None:
        await anyio.sleep(max(0.0, deadline - time.monotonic()))


def real_world() -> RealWorld:
    """The world itself."""
    return RealWorld()
