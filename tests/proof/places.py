"""Where the promises are proved. A durable store joins by one line in PLACES."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.ports.store import Store
from jidoka.testing.world import VirtualWorld

MakeStore = Callable[[], str | Store]


@contextmanager
def _files() -> Generator[MakeStore]:
    numbers = count(1)
    with quick_folder() as folder:
        yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"


# Given a test, what makes one fresh and empty place after the other, the one before being of no use any more: something
# that `Client` opens, and opens again after a crash.
PLACES: dict[str, Callable[[pytest.FixtureRequest], AbstractContextManager[MakeStore]]] = {
    "memory": lambda _: nullcontext(MemoryStore),
    "sqlite": lambda _: _files(),
    "postgres": lambda request: nullcontext(request.getfixturevalue("fresh_postgres")),
}


# Each thing takes several times as long there as in a file: less of it is done, unless there is time.
FAR = {"postgres"}

# Set it to take the time for everything, on every store.
LONG = bool(os.environ.get("JIDOKA_LONG_TESTS"))


def as_many(number: int, store: Store) -> int:
    """*number*; or a tenth of it where each of them waits for a thread, unless there is time."""
    return number if store.never_waits or LONG else number // 10


@contextmanager
def quick_folder() -> Iterator[Path]:
    """One in memory, where there is such a thing: what is proved in it is not that a disk keeps its word."""
    shared = Path("/dev/shm")
    is_there = shared.is_dir() and os.access(shared, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="jidoka-", dir=shared if is_there else None) as folder:
        yield Path(folder)


async def let_time_pass(world: VirtualWorld, store: Any, *, seconds: float = 1.0) -> None:
    """Time goes on, by *seconds* at once. What a store does in threads takes real time, and is waited for a little."""
    while True:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        if not store.never_waits:
            await anyio.sleep(0.01)
        await world.advance(seconds)
