"""What the SQLite store notices, names, and never serves."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from jidoka.adapters import sqlite_file
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.client import Client
from jidoka.core.errors import CorruptRecord, JidokaError
from jidoka.testing.entries import A, B, birth, message_entry, messages_from, seqs, visited
from tests.unit.adapters.test_sqlite import opened

JOURNAL = [*birth(owner="ada", metadata={"a": 1}), *messages_from(3, 8), message_entry(11, key="k")]


async def made(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, JOURNAL, expected_seq=0)
        await store.append(B, JOURNAL, expected_seq=0)


def changed(path: Path, *changes: str) -> None:
    """As somebody would who knows SQL, and nothing of checksums. The pages are in order."""
    connection = sqlite_file.connect(path)
    for change in changes:
        connection.execute(change)
    connection.pragma("wal_checkpoint", "truncate")
    connection.close()


@pytest.mark.parametrize(
    ("change", "first", "last"),
    [
        ("update entries set body = cast(body || x'00' as blob) where session = 1 and seq = 5", 5, 5),
        (
            "update entries set body = (select body from entries where n = 4) where session = 1 and seq = 6",
            6,
            6,
        ),
        ("delete from entries where session = 1 and seq = 7", 7, 7),
        ("delete from entries where session = 1 and seq > 8", 9, 11),
        ("delete from entries where session = 1", 1, 11),
        ("update entries set seq = 99 where session = 1 and seq = 3", 3, 3),
        (
            "update entries set body = (select body from entries where n = 10) where session = 1 and seq = 11",
            11,
            11,
        ),
    ],
)
async def test_changed_entries_are_named_and_not_served(path: Path, change: str, first: int, last: int) -> None:
    await made(path)
    changed(path, change)

    async with opened(path) as store:
        with pytest.raises(CorruptRecord) as caught:
            await store.read(A)

        assert (caught.value.session_id, caught.value.first_seq, caught.value.last_seq) == (A, first, last)
        assert await store.read(B) == JOURNAL
        (damage,), after = await store.examine()
        assert (damage.session_id, damage.first_seq, damage.last_seq, after) == (A, first, last, None)


@pytest.mark.parametrize(
    "change",
    [
        "update sessions set seq = 10 where arrival = 1",
        "update sessions set epoch = 7 where arrival = 1",
        "update sessions set status = 6 where arrival = 1",
        "update sessions set messages = 3 where arrival = 1",
        "update sessions set last_sum = 1 where arrival = 1",
        "update sessions set expires_at = 0 where arrival = 1",
        "update sessions set note = x'00' where arrival = 1",
        "update profiles set profile = cast(profile || ' ' as blob) where arrival = 1",
        "delete from profiles where arrival = 1",
    ],
)
async def test_a_changed_head_is_noticed_and_leaves_the_others_alone(path: Path, change: str) -> None:
    await made(path)
    changed(path, change)

    async with opened(path) as store:
        for call in (
            store.head(A),
            store.read(A),
            store.claim(A),
            store.append(A, [message_entry(12)], expected_seq=11),
        ):
            with pytest.raises(CorruptRecord) as caught:
                await call
            assert caught.value.session_id == A
        assert await visited(store, limit=10) == [B]
        assert [damage.session_id for damage in store.known_damage] == [A]
        found, _ = await store.examine()
        assert A in {damage.session_id for damage in found}
        assert B not in {damage.session_id for damage in found}


@pytest.mark.parametrize(
    "change",
    [
        "delete from keys where session = 1",
        "delete from terms where arrival = 1",
        "update totals set sessions = 7",
    ],
)
async def test_what_is_looked_up_is_examined_too(path: Path, change: str) -> None:
    await made(path)
    changed(path, change)

    async with opened(path) as store:
        found, _ = await store.examine()

    assert len(found) == 1


# --- the end of the log ---------------------------------------------------------------------------


async def crashed(path: Path) -> Path:
    """A copy of the files as a killed process leaves them: the last commits are in the log only."""
    await made(path)
    copy = path.with_name("copy.db")
    async with opened(path) as store:
        await store.append(A, [message_entry(12)], expected_seq=11)
        await store.append(B, [message_entry(12)], expected_seq=11)
        await store.append(A, [message_entry(13), message_entry(14)], expected_seq=12)
        for suffix in ("", "-wal", "-tail"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return copy


async def test_a_sound_log_is_recovered(path: Path) -> None:
    copy = await crashed(path)

    async with opened(copy) as store:
        assert (await seqs(store, A))[-1] == 14
        assert (await seqs(store, B))[-1] == 12
        assert await store.examine() == ([], None)


async def test_a_log_that_is_gone_is_missed(path: Path) -> None:
    copy = await crashed(path)
    Path(f"{copy}-wal").unlink()

    for _ in range(2):
        async with opened(copy) as store:
            for session_id, first, last in ((A, 12, 14), (B, 12, 12)):
                with pytest.raises(CorruptRecord) as caught:
                    await store.read(session_id)
                assert (caught.value.first_seq, caught.value.last_seq) == (first, last)
            found, _ = await store.examine()
            assert {damage.session_id for damage in found} == {A, B}
            assert await visited(store, limit=10) == []

    async with opened(copy, read_only=True) as store:
        assert {damage.session_id for damage in store.known_damage} == {A, B}


async def test_every_changed_bit_of_the_log_is_noticed(path: Path) -> None:
    copy = await crashed(path)
    log, dice = Path(f"{copy}-wal"), random.Random(1)
    sound = log.read_bytes()
    files = {suffix: Path(f"{copy}{suffix}").read_bytes() for suffix in ("", "-tail")}

    for _ in range(60):
        for suffix, content in files.items():
            Path(f"{copy}{suffix}").write_bytes(content)
        Path(f"{copy}-shm").unlink(missing_ok=True)
        broken = bytearray(sound)
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        log.write_bytes(broken)
        await expect_whole_or_corrupt(copy, {A: 14, B: 12})


async def test_every_changed_bit_of_the_file_is_noticed(path: Path) -> None:
    await made(path)
    sound, dice = path.read_bytes(), random.Random(2)

    for _ in range(100):
        broken = bytearray(sound)
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        await expect_whole_or_corrupt(path, {A: 11, B: 11})


async def expect_whole_or_corrupt(path: Path, lengths: dict[str, int]) -> None:
    """Nothing is ever read that is not what was written."""
    store = SQLiteStore(path)
    try:
        await store.open()
    except JidokaError:
        # It says so as a whole.
        return
    try:
        for session_id, length in lengths.items():
            try:
                entries = await store.read(session_id)
            except CorruptRecord:
                continue
            assert entries[:11] == JOURNAL
            assert [entry.seq for entry in entries] == list(range(1, length + 1))
    finally:
        await close_damaged(store)


async def close_damaged(store: SQLiteStore) -> None:
    with suppress(JidokaError):
        await store.close()


async def test_what_was_purged_does_not_come_back_with_an_older_file(path: Path) -> None:
    await made(path)
    copy = path.with_name("copy.db")
    async with opened(path) as store:
        await store.purge(A)
        for suffix in ("", "-tail"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")

    # The log with the purge in it is gone.
    async with opened(copy) as store:
        assert await visited(store, limit=10) == [B]
        assert await store.head(A) is None
        assert await store.examine() == ([], None)


async def test_a_damaged_session_may_be_purged_and_begun_again(path: Path) -> None:
    await made(path)
    changed(path, "update profiles set profile = x'00' where arrival = 1")

    async with opened(path) as store:
        await store.purge(A)

        assert await visited(store, limit=10) == [B]
        assert await store.examine() == ([], None)
        assert (await store.append(A, birth(), expected_seq=0)).epoch == 2


# --- through the client ---------------------------------------------------------------------------


async def test_a_damaged_session_is_refused_and_the_house_says_so(path: Path) -> None:
    async with Client(f"sqlite:///{path}") as client:
        damaged, sound = await client.create_session(), await client.create_session()
        for session in (damaged, sound):
            await session.send_message("user", "hello")
    changed(path, "update entries set body = cast(body || x'00' as blob) where session = 1 and seq = 3")

    async with Client(f"sqlite:///{path}") as client:
        with pytest.raises(CorruptRecord) as caught:
            await client.session(damaged.id).get_history()
        with pytest.raises(JidokaError):
            await client.create_session(session_id=damaged.id)
        assert [message.content for message in await client.session(sound.id).get_history()] == ["hello"]

    assert (caught.value.session_id, caught.value.first_seq) == (damaged.id, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jidoka.db"


async def test_a_backup_that_is_cut_short_is_never_taken_for_a_shorter_one(path: Path, tmp_path: Path) -> None:
    await made(path)
    whole, dice = path.read_bytes(), random.Random(3)
    lengths = sorted({*dice.sample(range(len(whole)), 60), *range(0, len(whole), 8192), len(whole) - 1})
    refused = 0

    for number, length in enumerate(lengths):
        backup = tmp_path / f"backup-{number}.db"
        backup.write_bytes(whole[:length])
        refused += await is_refused(backup)

    # The last page is an empty one: without its end everything is there.
    assert refused >= len(lengths) * 0.8


async def is_refused(backup: Path) -> bool:
    """Whether looking at it says that something is wrong. If it does not, everything is there."""
    store = SQLiteStore(backup, read_only=True)
    try:
        await store.open()
        found, _ = await store.examine()
        if not found:
            assert [await store.read(session_id) for session_id in (A, B)] == [JOURNAL, JOURNAL]
        return bool(found)
    except JidokaError:
        return True
    finally:
        await close_damaged(store)
