"""Several writers on one session: what was acknowledged is there, and no pair is torn apart by another."""

from __future__ import annotations

import asyncio
from time import perf_counter

from tests.bench.durable.backend import Backend, Backends, new_file, opened
from tests.bench.durable.texts import pair
from tests.bench.measures import Figures

SHARED = "session_shared"
SECONDS = 10.0
# Before one tries again.
PAUSE = 0.001


class Writers:
    """Each appends its own pairs, and tries again when it is told of a conflict."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.acked: list[str] = []
        self.conflicts = 0
        self._end = perf_counter() + SECONDS

    async def write(self, name: str, pairs: int) -> None:
        session = await self._backend.find(SHARED)
        for number in range(pairs):
            tag = f"[{name}.{number}] "
            while perf_counter() < self._end:
                try:
                    await self._backend.add(session, pair(number, tag))
                except self._backend.conflicts:
                    self.conflicts += 1
                    await asyncio.sleep(PAUSE)
                    session = await self._backend.find(SHARED)
                else:
                    self.acked.append(tag)
                    break


async def writers(backends: Backends, writers: int, pairs: int) -> Figures:
    """Kept is what was acknowledged and is there; a refusal that says so is no loss."""
    async with opened(backends(new_file())) as backend:
        await backend.create(SHARED)
        all_of_them = Writers(backend)
        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(all_of_them.write(f"writer {number}", pairs))
        found = [backend.text(item) for item in await backend.everything(await backend.find(SHARED))]
    places = [[place for place, text in enumerate(found) if text.startswith(tag)] for tag in all_of_them.acked]
    # More than two is one that was told of a conflict between the halves, and wrote the first half again.
    kept = [place for place in places if len(place) >= 2]
    return {
        "kept": 100 * len(kept) / max(1, len(places)),
        "interleaved": sum(len(place) != 2 or place[1] - place[0] != 1 for place in kept),
        "conflicts": all_of_them.conflicts,
        "acked": len(places),
    }
