"""I08: after a `kill -9` every session is found, ready at once and woken when it is used, exactly as it was."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.settings import Settings
from tests.proof.filling import ENTRIES, SESSIONS, fill, hash_of, journal, session_id
from tests.proof.places import LONG, quick_folder

SAMPLE = 1_000 if LONG else 100


@pytest.fixture(scope="module")
def killed() -> Iterator[Path]:
    with quick_folder() as folder:
        path, ready = folder / "restart.db", folder / "ready"
        process = multiprocessing.get_context("forkserver").Process(target=fill, args=(str(path), str(ready)))
        process.start()
        while not ready.exists():
            assert process.is_alive(), "it ended by itself"
            time.sleep(0.01)
        process.kill()
        process.join()
        yield path


@pytest.mark.slow
@pytest.mark.timeout(900 if LONG else 60)
def test_after_a_kill_every_session_is_there_as_it_was(killed: Path) -> None:
    anyio.run(_look, killed)


async def _look(path: Path) -> None:
    begun = time.perf_counter()
    async with Client(f"sqlite:///{path}", settings=Settings(housekeeping_every=86_400)) as client:
        ready = time.perf_counter() - begun
        counted = sum((await client.stats()).sessions.values())
        waits: list[float] = []
        for number in random.Random(8).sample(range(SESSIONS), SAMPLE):
            session = client.session(session_id(number))
            entries = await client.house.store.read(session.id, limit=ENTRIES - 1)
            assert hash_of(entries) == hash_of(journal(number))
            sent = time.perf_counter()
            message = await session.send_message("user", "good morning")
            waits.append(time.perf_counter() - sent)
            assert message.seq >= ENTRIES
            last = await client.house.store.entry_with(session.id, "last")
            assert (last is not None) == (number % 100 == 0)
        waits.sort()
        p99 = waits[int(0.99 * len(waits))]
        print(
            f"\nI08: {counted:,} sessions, {SESSIONS * (ENTRIES - 1):,} entries: ready after {ready * 1e3:.0f} ms,"
            f" first message p50 {waits[len(waits) // 2] * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
        )
        assert counted == SESSIONS
        assert ready <= 10
