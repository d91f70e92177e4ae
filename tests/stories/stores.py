"""The stores that the promises are tried on, and stores that are in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from jidoka.adapters.memory import MemoryStore
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.ports.store import Store

# A store joins by one line. Each has a new place for its files.
STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda place: SQLiteStore(place / "jidoka.db"),
}


class Boom(Exception):
    """The crash of these stories: no error of ours."""


class StoreAround:
    """A store around another one, for a test to stand in the way of its calls."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        return await self.inner.append(session_id, entries, expected_seq=expected_seq)


class PoisonStore(StoreAround):
    """Crashes whoever appends something poisonous: a bug that only some messages meet.

    `poison …` crashes always, `fragile 2 …` the first two times, `unstorable …` wherever it stands in an entry.
    """

    def __init__(self, inner: Store, error: type[BaseException] = Boom) -> None:
        super().__init__(inner)
        self.error = error
        self.tasted: Counter[str] = Counter()
        self.is_harmless = False
        # Types of entries that are poison, whatever they say.
        self.poisonous: set[str] = set()

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        if not self.inner.never_waits:
            await anyio.lowlevel.checkpoint()
        if not self.is_harmless:
            for entry in entries:
                self._taste(entry)
        return await super().append(session_id, entries, expected_seq=expected_seq)

    def _taste(self, entry: Entry) -> None:
        if entry.type in self.poisonous and entry.data.get("part") != "dead_letters":
            raise self.error(f"{entry.type} is poison")
        if "unstorable" in str(entry.data):
            raise self.error("what is in there cannot be kept")
        kind, *rest = str(entry.data["content"]).split() if entry.type == "conversation_added" else [""]
        if kind not in {"poison", "fragile"}:
            return
        content = entry.data["content"]
        self.tasted[content] += 1
        if kind == "poison" or self.tasted[content] <= int(rest[0]):
            raise self.error(content)


class SlowStore(StoreAround):
    """A store whose every append takes a turn of the loop, so that it can be interrupted."""

    never_waits = False

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        await anyio.lowlevel.checkpoint()
        return await super().append(session_id, entries, expected_seq=expected_seq)


class StalledStore(StoreAround):
    """A store that does not answer for some sessions, until it is released."""

    never_waits = False

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.stalled: set[str] = set()
        self.reached = anyio.Event()
        self.released = anyio.Event()

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        if session_id in self.stalled:
            self.reached.set()
            await self.released.wait()
        return await super().append(session_id, entries, expected_seq=expected_seq)

    async def claim(self, session_id: str, *, expected_epoch: int | None = None) -> Head | None:
        if session_id in self.stalled:
            self.reached.set()
            await self.released.wait()
        return await self.inner.claim(session_id, expected_epoch=expected_epoch)
