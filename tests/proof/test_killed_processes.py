"""I01: a process that is killed loses nothing that it has confirmed, and repeats nothing."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import defaultdict
from multiprocessing.context import ForkServerContext
from pathlib import Path

import anyio
import pytest

from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.errors import CorruptRecord
from jidoka.testing.wellformed import all_well_formed
from tests.proof.places import LONG, quick_folder
from tests.proof.writers import WRITERS, session_id, write_until_killed

CYCLES = 2_000 if LONG else 200


class Killing:
    """One file, and the processes that write to it, one after the other."""

    def __init__(self, folder: Path, *, is_sabotaged: bool = False) -> None:
        self.folder = folder
        self.is_sabotaged = is_sabotaged
        self.chance = random.Random(1)
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        # Imported once, so that a process is there in a few milliseconds.
        self.context.set_forkserver_preload(["tests.proof.writers", "jidoka.adapters.sqlite"])
        self.lengths: dict[str, int] = defaultdict(int)
        self.seqs: dict[tuple[str, str], int] = {}
        self.cycles = self.acks = self.lost = self.moved = self.duplicates = self.gaps = 0

    @property
    def path(self) -> Path:
        return self.folder / "killed.db"

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.moved or self.duplicates or self.gaps)

    def run(self, cycles: int) -> None:
        """Kill that many processes, or fewer if one of them has lost something."""
        while self.cycles < cycles and self.is_clean:
            acks = self.folder / f"acks-{self.cycles}"
            self._kill_one(acks)
            # What was told only in part was told to nobody.
            lines = acks.read_text().split("\n")[:-1]
            try:
                anyio.run(self._compare, [line.split() for line in lines])
            except CorruptRecord:
                self.lost += 1
            self.cycles += 1

    def _kill_one(self, acks: Path) -> None:
        args = (f"sqlite:///{self.path}", str(acks), self.cycles, self.is_sabotaged)
        process = self.context.Process(target=write_until_killed, args=args, daemon=True)
        process.start()
        while not acks.exists() or not acks.stat().st_size:
            assert process.is_alive(), "the writers ended by themselves"
            time.sleep(0.001)
        time.sleep(self.chance.uniform(0, 0.05))
        process.kill()
        process.join()

    async def _compare(self, acks: list[list[str]]) -> None:
        store = SQLiteStore(self.path)
        await store.open()
        try:
            for number in range(WRITERS):
                await self._read_on(store, session_id(number))
        finally:
            await store.close()
        self.acks += len(acks)
        for session, key, seq in acks:
            there = self.seqs.get((session, key))
            self.lost += there is None
            self.moved += there not in (None, int(seq))

    async def _read_on(self, store: SQLiteStore, session: str) -> None:
        length = self.lengths[session]
        new = await store.read(session, after=length)
        self.gaps += [entry.seq for entry in new] != list(range(length + 1, length + len(new) + 1))
        for entry in new:
            if entry.key is not None:
                self.duplicates += (session, entry.key) in self.seqs
                self.seqs[session, entry.key] = entry.seq
        self.lengths[session] += len(new)

    async def examined(self) -> None:
        """The whole of it once more."""
        store = SQLiteStore(self.path)
        await store.open()
        try:
            journals = await all_well_formed(store)
            assert {session: len(journal) for session, journal in journals.items()} == self.lengths
            assert await store.examine(limit=1_000) == ([], None)
        finally:
            await store.close()

    def table(self, name: str, seconds: float) -> str:
        counts = f"{self.cycles:7,} {self.acks:10,} {self.lost:6,} {self.duplicates:11,} {self.moved:6,} {self.gaps:5,}"
        return f"{name:24} {counts} {seconds:8.1f}"


COLUMNS = f"{'cycles':>7} {'acks':>10} {'lost':>6} {'duplicates':>11} {'moved':>6} {'gaps':>5} {'seconds':>8}"
HEADER = f"{'I01, kill -9':24} {COLUMNS}"


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 180)
def test_two_hundred_kills_lose_and_repeat_nothing() -> None:
    with quick_folder() as folder:
        killing = Killing(folder)
        begun = time.perf_counter()

        killing.run(CYCLES)

        print(f"\n{HEADER}\n{killing.table('sound', time.perf_counter() - begun)}")
        assert killing.is_clean
        assert killing.cycles == CYCLES
        assert killing.acks > 10 * CYCLES
        anyio.run(killing.examined)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_control_a_store_that_confirms_before_it_commits_is_found_out_within_twenty_kills() -> None:
    with quick_folder() as folder:
        killing = Killing(folder, is_sabotaged=True)
        begun = time.perf_counter()

        killing.run(20)

        print(f"\n{HEADER}\n{killing.table('confirms before commit', time.perf_counter() - begun)}")
        assert not killing.is_clean
