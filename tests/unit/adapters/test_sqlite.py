"""What is special about the SQLite store: its file, its lock, its threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from jidoka.adapters import sqlite_file
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.entries import Entry
from jidoka.core.errors import DuplicateKey, InvalidMessage, StorageFull, StoreUnavailable
from jidoka.testing.entries import A, B, birth, head_of, message_entry, messages_from, seqs, visited
from jidoka.wiring import store_for


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jidoka.db"


# --- the file -------------------------------------------------------------------------------------


async def test_a_journal_is_there_when_the_store_is_opened_again(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, [*birth(owner="ada", metadata={"a": 1}), message_entry(3, key="k")], expected_seq=0)
        before, entries = await head_of(store, A), await store.read(A)

    async with opened(path) as store:
        assert await head_of(store, A) == before
        assert await store.read(A) == entries
        with pytest.raises(DuplicateKey):
            await store.append(A, [message_entry(4, key="k")], expected_seq=3)
        await store.append(A, [message_entry(4)], expected_seq=3)


async def test_a_purged_id_stays_purged(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)
        await store.append(B, birth(), expected_seq=0)
        await store.purge(B)

    async with opened(path) as store:
        assert await visited(store, limit=10) == [A]
        assert (await store.append(B, birth(), expected_seq=0)).epoch == 2


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "place" / "jidoka.db"

    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    assert set(modes.values()) == {0o600}
    assert {"jidoka.db", "jidoka.db-wal", "jidoka.db-tail"} <= modes.keys()
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_closing_leaves_one_file_with_everything_in_it(path: Path, tmp_path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, [*birth(), *messages_from(3, 50)], expected_seq=0)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["jidoka.db", "jidoka.db-tail"]
    assert (tmp_path / "jidoka.db-tail").stat().st_size == 0


@pytest.mark.parametrize(("durability", "synchronous"), [("power", 2), ("process", 1)])
async def test_durability_is_what_sqlite_is_told(path: Path, durability: str, synchronous: int) -> None:
    async with opened(path, durability=durability) as store:
        said = await store._write(ask_for("pragma synchronous"))  # pyright: ignore[reportPrivateUsage]

    assert said == synchronous


def ask_for(sql: str) -> Any:
    from jidoka.adapters.sqlite_write import Run

    return Run(lambda connection: connection.execute(sql).get)


async def test_every_page_has_a_checksum(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)

    connection = sqlite_file.connect(path, read_only=True)
    assert connection.pragma("checksum_verification") == "1"
    connection.close()


# --- who may write --------------------------------------------------------------------------------


async def test_a_second_writer_is_refused_and_readers_are_not(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)

        with pytest.raises(StoreUnavailable, match="another process"):
            await SQLiteStore(path).open()
        async with opened(path, read_only=True) as reader:
            assert await seqs(reader, A) == [1, 2]
            await store.append(A, [message_entry(3)], expected_seq=2)
            assert await seqs(reader, A) == [1, 2, 3]
            with pytest.raises(StoreUnavailable, match="reading only"):
                await reader.append(A, [message_entry(4)], expected_seq=3)

    async with opened(path) as store:
        assert await seqs(store, A) == [1, 2, 3]


async def test_a_second_process_is_refused_and_the_lock_goes_with_its_holder(path: Path) -> None:
    program = (
        "import anyio, sys\nfrom jidoka.adapters.sqlite import SQLiteStore\n"
        "async def main():\n    store = SQLiteStore(sys.argv[1])\n    await store.open()\n"
        "    print('open', flush=True)\n    await anyio.sleep_forever()\nanyio.run(main)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert await anyio.to_thread.run_sync(holder.stdout.readline) == "open\n"
        with pytest.raises(StoreUnavailable, match="open for writing"):
            await SQLiteStore(path).open()
    finally:
        holder.kill()
        holder.communicate()

    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)


async def test_a_refused_opening_leaves_nothing_behind(path: Path) -> None:
    async with opened(path):
        threads, files = threading.active_count(), open_files()

        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await SQLiteStore(path).open()

        assert (threading.active_count(), open_files()) == (threads, files)


async def test_the_number_of_open_files_does_not_depend_on_sessions(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)
        before = open_files()
        for number in range(300):
            await store.append(f"session_{number:04}", birth(), expected_seq=0)

        assert open_files() == before <= 20


def open_files() -> int:
    return len([name for name in os.listdir("/proc/self/fd") if "jidoka.db" in target_of(name)])


def target_of(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""


async def test_looking_at_what_is_not_there_makes_nothing(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no"):
        await SQLiteStore(path, read_only=True).open()

    assert not path.exists()


async def test_after_closing_nothing_is_answered(path: Path) -> None:
    async with opened(path) as store:
        pass

    for call in (store.head(A), store.append(A, birth(), expected_seq=0)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


# --- versions -------------------------------------------------------------------------------------


async def test_an_older_file_is_brought_up_to_date(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, [*birth(), message_entry(3)], expected_seq=0)
    newer = {
        **sqlite_file.MIGRATIONS,
        2: "create table extra (a); insert into extra values (7)",
        3: "update extra set a = 8",
    }

    async with opened(path, migrations=newer) as store:
        assert await store._write(ask_for("select a from extra")) == 8  # pyright: ignore[reportPrivateUsage]
        assert await seqs(store, A) == [1, 2, 3]


async def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)
    broken = {**sqlite_file.MIGRATIONS, 2: "create table extra (a)", 3: "this is not SQL"}

    with pytest.raises(StoreUnavailable):
        await SQLiteStore(path, migrations=broken).open()

    async with opened(path) as store:
        assert await seqs(store, A) == [1, 2]
        with pytest.raises(StoreUnavailable):
            await store._write(ask_for("select * from extra"))  # pyright: ignore[reportPrivateUsage]


async def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)
    connection = sqlite_file.connect(path)
    connection.pragma("user_version", 99)
    connection.pragma("journal_mode", "delete")
    connection.close()
    before = path.read_bytes()

    for read_only in (False, True):
        with pytest.raises(StoreUnavailable, match="newer jidoka"):
            await SQLiteStore(path, read_only=read_only).open()

    assert path.read_bytes() == before


async def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("create table t (a); insert into t values (1)")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreUnavailable, match="not one of jidoka's"):
        await SQLiteStore(path).open()

    assert path.read_bytes() == before


# --- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite:///jidoka.db", Path.cwd() / "jidoka.db"),
        ("sqlite:///a/b%20c.db", Path.cwd() / "a" / "b c.db"),
        ("sqlite:////tmp/jidoka.db?durability=process", Path("/tmp/jidoka.db")),
        ("sqlite:////tmp/jidoka.db?mode=ro&durability=power", Path("/tmp/jidoka.db")),
    ],
)
def test_a_url_names_a_file(url: str, place: Path) -> None:
    store = store_for(url)

    assert isinstance(store, SQLiteStore)
    assert store.path == place
    assert store.read_only is ("mode=ro" in url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite://relative.db",
        "sqlite:///:memory:",
        "sqlite:///place/",
        "sqlite:///a.db?durability=never",
        "sqlite:///a.db?durability=",
        "sqlite:///a.db?mode=rwx",
        "sqlite:///a.db?colour=red",
        "sqlite:///a%00.db",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidMessage):
        store_for(url)


# --- batches --------------------------------------------------------------------------------------


async def test_a_cancelled_append_is_unknown_and_found_by_its_key(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.append(A, [message_entry(3, key="k")], expected_seq=2)

        # Whatever became of it, the key tells.
        try:
            seq = (await store.append(A, [message_entry(3, key="k")], expected_seq=2)).seq
        except DuplicateKey as found:
            seq = found.entry.seq

        assert seq == 3
        assert await seqs(store, A) == [1, 2, 3]


async def test_on_a_full_disk_only_what_does_not_fit_is_refused(path: Path) -> None:
    async with opened(path, max_pages=60) as store:
        await store.append(A, birth(), expected_seq=0)
        await store.append(B, birth(), expected_seq=0)
        outcomes: dict[str, object] = {}

        async def write(session_id: str, entries: list[Entry]) -> None:
            try:
                outcomes[session_id] = await store.append(session_id, entries, expected_seq=2)
            except StorageFull as full:
                outcomes[session_id] = full

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, A, [message_entry(3, "x" * 2_000_000)])
            tasks.start_soon(write, B, [message_entry(3)])

        assert isinstance(outcomes[A], StorageFull)
        assert await seqs(store, A) == [1, 2]
        assert await seqs(store, B) == [1, 2, 3]
        await store.append(A, [message_entry(3)], expected_seq=2)


async def test_after_purging_there_is_room_again(path: Path) -> None:
    async with opened(path, max_pages=60) as store:
        await store.append(A, [*birth(), message_entry(3, "x" * 150_000)], expected_seq=0)
        with pytest.raises(StorageFull):
            await store.append(B, [*birth(), message_entry(3, "y" * 250_000)], expected_seq=0)

        await store.purge(A)
        await store.append(B, [*birth(), message_entry(3, "y" * 150_000)], expected_seq=0)

        assert await store.examine() == ([], None)


# --- backups --------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_backup_that_is_larger_than_the_cache_is_sound(path: Path, tmp_path: Path) -> None:
    """Its first pages leave the cache before page 1 has told that pages have checksums."""
    target = tmp_path / "backup.db"
    async with opened(path) as store:
        for number in range(60):
            said = [message_entry(seq, "x" * 7_500, key=f"{number}/{seq}") for seq in range(3, 103)]
            await store.adopt(f"session_{number}", [*birth(), *said], epoch=1)
        await store.backup(target)

    assert target.stat().st_size > 40_000_000
    async with opened(target, read_only=True) as copy:
        assert await copy.examine() == ([], None)


async def test_a_backup_is_the_store_at_one_moment(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)

        async def go_on_writing() -> None:
            for seq in range(3, 203):
                await store.append(A, [message_entry(seq)], expected_seq=seq - 1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on_writing)
            await store.backup(target)

        with pytest.raises(InvalidMessage, match="already"):
            await store.backup(target)

    assert target.stat().st_mode & 0o777 == 0o600
    async with opened(target) as copy:
        assert await copy.examine() == ([], None)
        length = len(await seqs(copy, A))
        assert 2 <= length <= 202
        await copy.append(A, [message_entry(length + 1)], expected_seq=length)
    assert not list(tmp_path.glob("*.unfinished"))
