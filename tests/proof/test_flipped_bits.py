"""I06: a bit that has turned over is noticed and named, or does no harm; it is never served."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, JidokaError
from jidoka.core.heads import Head
from jidoka.testing.entries import birth, message_entry
from tests.proof.places import LONG, quick_folder

TRIALS = 4_000 if LONG else 400
SESSIONS = [f"session_{number}" for number in range(10)]
FILES = {"database": "", "log": "-wal"}
HEADER = f"{'I06, flipped bits':20} {'trials':>7} {'whole':>7} {'named':>7} {'refused':>8} {'silent':>7}"

Contents = dict[str, tuple[Head, list[Entry]]]


def said(session: str, seq: int) -> Entry:
    # Words that cannot be made shorter: most of the file is what was said.
    return message_entry(seq, random.Random(f"{session} {seq}").randbytes(600).hex())


async def written(folder: Path) -> Contents:
    """A copy of a store as a crash leaves it: half of it in the database, half in its log. And what is in it."""
    path = folder / "sound.db"
    first = SQLiteStore(path)
    await first.open()
    for session in SESSIONS:
        await first.append(session, birth(metadata={"name": session}), expected_seq=0)
        await first.append(session, [said(session, seq) for seq in range(3, 20)], expected_seq=2)
    await first.close()
    store = SQLiteStore(path)
    await store.open()
    try:
        for session in SESSIONS:
            for seq in range(20, 23):
                await store.append(session, [said(session, seq)], expected_seq=seq - 1)
        for suffix in ("", "-wal", "-tail"):
            shutil.copy(f"{path}{suffix}", folder / f"copy.db{suffix}")
        return {session: await looked_at(store, session) for session in SESSIONS}
    finally:
        await store.close()


async def looked_at(store: SQLiteStore, session: str) -> tuple[Head, list[Entry]]:
    head = await store.head(session)
    assert head is not None
    return head, await store.read(session)


class Trial:
    """A fresh copy with one bit turned over."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.files = {end: (folder / f"copy.db{end}").read_bytes() for end in ("", "-wal", "-tail")}
        self.path, self.suffix = folder / "trial.db", suffix

    def flip(self, chance: random.Random) -> None:
        for end, content in self.files.items():
            Path(f"{self.path}{end}").write_bytes(content)
        Path(f"{self.path}-shm").unlink(missing_ok=True)
        broken = bytearray(self.files[self.suffix])
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        Path(f"{self.path}{self.suffix}").write_bytes(broken)

    async def outcome(self, sound: Contents, *, read_only: bool) -> str:
        store = SQLiteStore(self.path, read_only=read_only)
        try:
            await store.open()
        except JidokaError:
            return "refused"
        try:
            return await self._outcome(store, sound)
        finally:
            with suppress(JidokaError):
                await store.close()

    async def _outcome(self, store: SQLiteStore, sound: Contents) -> str:
        refused: set[str] = set()
        for session, expected in sound.items():
            try:
                if await looked_at(store, session) != expected:
                    return "silent"
            except AssertionError:
                return "silent"
            except CorruptRecord as error:
                assert error.session_id in (session, None)
                refused.add(session)
        damages, _ = await store.examine(limit=1_000)
        named = {damage.session_id for damage in damages}
        assert refused <= named or None in named
        return "named" if named else "whole"


def row(name: str, trials: int, found: Counter[str]) -> str:
    return f"{name:20} {trials:7} {found['whole']:7} {found['named']:7} {found['refused']:8} {found['silent']:7}"


@pytest.mark.slow
@pytest.mark.timeout(600 if LONG else 90)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_flipped_bit_is_ever_served(name: str, anyio_backend: str) -> None:
    chance, found = random.Random(6), Counter[str]()
    with quick_folder() as folder:
        sound = await written(folder)
        trial = Trial(folder, FILES[name])
        for number in range(TRIALS):
            trial.flip(chance)
            # Whoever only looks is quicker; every fourth opens it for writing.
            found[await trial.outcome(sound, read_only=number % 4 != 0)] += 1

    print(f"\n{HEADER}\n{row(name, TRIALS, found)}")
    assert found["silent"] == 0
    assert found["named"] > TRIALS / 4


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_control_without_checks_most_flipped_bits_are_served(anyio_backend: str) -> None:
    chance, found = random.Random(6), Counter[str]()
    with quick_folder() as folder:
        await written(folder)
        trial = Trial(folder, "")
        # Without the log: every page comes out of the database.
        trial.files["-wal"] = b""
        Path(f"{trial.path}").write_bytes(trial.files[""])
        sound = rows(trial.path)
        for _ in range(TRIALS):
            trial.flip(chance)
            try:
                found["whole" if rows(trial.path) == sound else "silent"] += 1
            except (sqlite3.Error, UnicodeDecodeError):
                found["refused"] += 1

    print(f"\n{HEADER}\n{row('without checks', TRIALS, found)}")
    assert found["silent"] > TRIALS / 2


def rows(path: Path) -> list[Any]:
    """Everything there is, as plain SQLite gives it."""
    with closing(sqlite3.connect(path)) as connection:
        tables = ("sessions", "profiles", "terms", "entries", "keys", "totals")
        return [connection.execute(f"select * from {table}").fetchall() for table in tables]
