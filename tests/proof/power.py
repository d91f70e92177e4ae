"""A disk that can lose its power: `python -m tests.proof.power MODE SEEDS CUTS` prints what each store lost, as JSON.

Whatever was written and not synced is lost by halves: of every sector written since the last sync, a coin says whether
the disk has the new one or the old. It is registered as SQLite's default file system before the one that checks pages
is loaded, so that it lies beneath it: hence a process of its own.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import apsw

from jidoka.adapters import sqlite_file
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.entries import Entry
from jidoka.core.errors import JidokaError
from jidoka.testing.entries import birth, message_entry
from tests.proof.places import quick_folder

SECTOR = 512
SESSIONS = 8


class Disk(apsw.VFS):
    """Knows of every file what is not on the platter yet, and at which write the power goes."""

    def __init__(self) -> None:
        self.name, self.base = "jidoka-power", "unix"
        super().__init__(self.name, self.base, makedefault=True)
        self.plug_in(random.Random(0), cut=None)

    def plug_in(self, chance: random.Random, *, cut: int | None) -> None:
        """Power is back, and goes at write number *cut*."""
        self.chance, self.cut = chance, cut
        self.writes, self.is_dead = 0, False
        # By path: the size on the platter, and by sector what is there in place of what was written.
        self.sizes: dict[str, int] = {}
        self.old: dict[str, dict[int, bytes]] = {}

    def look(self) -> None:
        if self.is_dead:
            raise apsw.IOError("the power is gone")

    def xOpen(self, name: Any, flags: list[int]) -> DiskFile:
        self.look()
        return DiskFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.look()
        super().xDelete(filename, syncdir)
        self.old.pop(filename, None)
        self.sizes.pop(filename, None)

    def lose(self) -> None:
        """What the platters have after the cut."""
        for path, sectors in self.old.items():
            if not os.path.exists(path):
                continue
            with open(path, "r+b") as file:
                for sector, content in sectors.items():
                    if self.chance.random() < 0.5:
                        file.seek(sector * SECTOR)
                        file.write(content)
                if self.chance.random() < 0.5 and self.sizes[path] < os.path.getsize(path):
                    file.truncate(self.sizes[path])


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__(disk.base, name, flags)
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    @property
    def old(self) -> dict[int, bytes]:
        if self.path not in self.disk.old:
            self.disk.old[self.path] = {}
            self.disk.sizes[self.path] = self.xFileSize()
        return self.disk.old[self.path]

    def keep(self, start: int, end: int) -> None:
        """What is there now is what the platter has, where it is not known already."""
        old = self.old
        for sector in range(start // SECTOR, (end + SECTOR - 1) // SECTOR):
            if sector not in old:
                there = max(0, min(SECTOR, self.xFileSize() - sector * SECTOR))
                found = super().xRead(there, sector * SECTOR) if there else b""
                old[sector] = found.ljust(SECTOR, b"\0")

    def xRead(self, amount: int, offset: int) -> bytes:
        self.disk.look()
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.look()
        self.keep(offset, offset + len(data))
        super().xWrite(data, offset)
        self.disk.writes += 1
        if self.disk.writes == self.disk.cut:
            self.disk.is_dead = True
            raise apsw.IOError("the power is gone")

    def xTruncate(self, newsize: int) -> None:
        self.disk.look()
        self.keep(newsize, self.xFileSize())
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self.disk.look()
        self.old.clear()
        self.disk.sizes[self.path] = self.xFileSize()


class Cut:
    """One store, written to until the power goes, and looked at afterwards."""

    def __init__(self, disk: Disk, path: Path, mode: str, chance: random.Random) -> None:
        self.disk, self.path, self.mode, self.chance = disk, path, mode, chance
        self.acked: dict[str, list[Entry]] = {}

    async def run(self) -> dict[str, int]:
        await self._write()
        # A process that is gone has none: what is left of one would be shared with those that come after it.
        for connection in apsw.connections():
            connection.close()
        self.disk.lose()
        self._lose_the_tail()
        self.disk.plug_in(self.chance, cut=None)
        try:
            lost = await self._compare()
        except JidokaError:
            # Everything is, when it cannot be opened any more.
            return {"acks": self._acks, "lost": self._acks, "unopenable": 1}
        return {"acks": self._acks, "lost": lost, "unopenable": 0}

    @property
    def _acks(self) -> int:
        return sum(map(len, self.acked.values()))

    async def _write(self) -> None:
        store = SQLiteStore(self.path, durability="process" if self.mode == "normal" else "power")
        if self.mode == "off":
            store._writing._synchronous = "off"  # pyright: ignore
        # Made, and put away, before it counts.
        self.disk.plug_in(self.chance, cut=None)
        await store.open()
        try:
            self.disk.cut = self.disk.writes + self.chance.randrange(1, 400)
            async with anyio.create_task_group() as tasks:
                for number in range(SESSIONS):
                    tasks.start_soon(self._talk, store, f"session_{number}")
        finally:
            with suppress(JidokaError):
                await store.close()

    async def _talk(self, store: SQLiteStore, session: str) -> None:
        try:
            await store.append(session, birth(), expected_seq=0)
            acked = self.acked[session] = birth()
            while True:
                entry = message_entry(len(acked) + 1, "hello " * self.chance.randrange(1, 300))
                await store.append(session, [entry], expected_seq=len(acked))
                acked.append(entry)
        except JidokaError:
            return

    def _lose_the_tail(self) -> None:
        tail = self.path.with_name(self.path.name + "-tail")
        if tail.exists():
            os.truncate(tail, self.chance.randrange(tail.stat().st_size + 1))

    async def _compare(self) -> int:
        store, lost = SQLiteStore(self.path), 0
        await store.open()
        try:
            damaged, _ = await store.examine(limit=1_000)
            for session, acked in self.acked.items():
                try:
                    there = await store.read(session)
                except JidokaError:
                    there = []
                lost += sum(entry not in there for entry in acked)
            if damaged:
                lost = max(lost, 1)
        finally:
            await store.close()
        return lost


async def run(mode: str, seeds: int, cuts: int) -> dict[str, int]:
    """All cuts of all seeds, and what they cost together."""
    disk = Disk()
    # Often enough to be cut in the middle of one.
    sqlite_file.CHECKPOINT_PAGES = 40
    total = {"cuts": 0, "acks": 0, "lost": 0, "unopenable": 0}
    for seed in range(seeds):
        chance = random.Random(f"{mode} {seed}")
        for _ in range(cuts):
            with quick_folder() as folder:
                found = await Cut(disk, folder / "cut.db", mode, chance).run()
            total["cuts"] += 1
            for name, count in found.items():
                total[name] += count
    return total


if __name__ == "__main__":
    logging.disable()
    print(json.dumps(anyio.run(run, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
