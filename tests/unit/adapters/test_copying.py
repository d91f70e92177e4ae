"""Journals go from one store to another as they stand, and backups are whole or not there."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from jidoka.adapters.backups import back_up, backup_of, restore
from jidoka.adapters.copying import copy_sessions, examine_all, is_empty, restore_sessions
from jidoka.adapters.memory import MemoryStore
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.entries import Entry
from jidoka.core.errors import (
    CorruptRecord,
    DuplicateKey,
    Fenced,
    InvalidMessage,
    SessionExists,
    StorageFull,
    StoreUnavailable,
)
from jidoka.core.heads import Head
from jidoka.ports.store import Store
from jidoka.testing.entries import A, B, C, birth, message_entry, messages_from, visited


@pytest.fixture
async def source() -> Store:
    """Three sessions in another order than that of their names; A has been claimed twice, and has keys."""
    store = MemoryStore()
    for session_id in (C, A, B):
        await store.append(session_id, birth(owner=session_id, metadata={"name": session_id}), expected_seq=0)
    await store.append(A, [message_entry(3, key="first")], expected_seq=2)
    await store.claim(A)
    await store.append(A, [message_entry(4, key="second", epoch=2)], expected_seq=3)
    await store.claim(A)
    return store


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncGenerator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "jidoka.db")
    await store.open()
    yield store
    await store.close()


async def journals(store: Store) -> dict[str, tuple[Head, list[Entry]]]:
    found: dict[str, tuple[Head, list[Entry]]] = {}
    for _, head in await store.heads(limit=1_000):
        head.arrival = 0
        found[head.session_id] = head, await store.read(head.session_id)
    return found


async def test_journals_are_copied_with_numbers_keys_epochs_and_order(source: Store, sqlite: SQLiteStore) -> None:
    done: list[int] = []

    copied = await copy_sessions(source, sqlite, progress=done.append)

    assert (copied.sessions, copied.damages, sum(done)) == (3, [], 3)
    assert await journals(sqlite) == await journals(source)
    assert await visited(sqlite, limit=2) == [C, A, B]
    assert await examine_all(sqlite) == []


async def test_a_copied_journal_goes_on_where_it_was(source: Store, sqlite: SQLiteStore) -> None:
    await copy_sessions(source, sqlite)

    with pytest.raises(Fenced):
        await sqlite.append(A, [message_entry(5, epoch=2)], expected_seq=4)
    with pytest.raises(DuplicateKey):
        await sqlite.append(A, [message_entry(5, key="first", epoch=3)], expected_seq=4)
    head = await sqlite.append(A, [message_entry(5, key="third", epoch=3)], expected_seq=4)
    assert (head.seq, head.epoch) == (5, 3)


async def test_more_sessions_than_a_page_are_copied_in_order(sqlite: SQLiteStore) -> None:
    source = MemoryStore()
    ids = [f"session_{number:03}" for number in range(250)]
    for session_id in ids:
        await source.append(session_id, birth(), expected_seq=0)

    copied = await copy_sessions(source, sqlite)

    assert copied.sessions == 250
    assert await visited(sqlite, limit=1_000) == ids


async def test_what_a_store_has_already_is_not_overwritten(source: Store, sqlite: SQLiteStore) -> None:
    await sqlite.append(A, birth(), expected_seq=0)

    with pytest.raises(SessionExists):
        await copy_sessions(source, sqlite)


class Damaged(MemoryStore):
    """One of its sessions cannot be read; another is purged as soon as it has been listed."""

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        if session_id == A:
            raise CorruptRecord("it is gone", session_id=A, first_seq=2, last_seq=3)
        if session_id == B:
            await self.purge(B)
        return await super().read(session_id, after=after, limit=limit)


@pytest.fixture
async def damaged(source: Store) -> Store:
    store = Damaged()
    await copy_sessions(source, store)
    return store


async def test_what_cannot_be_read_is_named_and_the_rest_is_copied(damaged: Store) -> None:
    target = MemoryStore()

    copied = await copy_sessions(damaged, target)

    assert [(bad.session_id, bad.first_seq, bad.last_seq) for bad in copied.damages] == [(A, 2, 3)]
    assert await visited(target, limit=10) == [C]


# --- restoring --------------------------------------------------------------------------------------


async def test_an_empty_store_gets_everything(source: Store, sqlite: SQLiteStore) -> None:
    assert await is_empty(sqlite)

    assert await restore_sessions(source, sqlite) == 3

    assert not await is_empty(sqlite)
    assert await journals(sqlite) == await journals(source)


async def test_a_store_with_sessions_is_left_alone(source: Store) -> None:
    target = MemoryStore()
    await target.append("session_z", birth(), expected_seq=0)

    with pytest.raises(InvalidMessage, match="has sessions already"):
        await restore_sessions(source, target)

    assert await visited(target, limit=10) == ["session_z"]


async def test_a_damaged_backup_leaves_nothing_behind(damaged: Store, sqlite: SQLiteStore) -> None:
    with pytest.raises(CorruptRecord, match="it is gone"):
        await restore_sessions(damaged, sqlite)

    assert await is_empty(sqlite)


class Full(MemoryStore):
    """Has room for two."""

    async def adopt(self, session_id: str, entries: Sequence[Entry], *, epoch: int) -> Head:
        if sum((await self.count()).values()) == 2:
            raise StorageFull("no space is left")
        return await super().adopt(session_id, entries, epoch=epoch)


async def test_a_restore_that_fails_is_undone_and_may_be_repeated(source: Store) -> None:
    target = Full()
    with pytest.raises(StorageFull):
        await restore_sessions(source, target)

    assert await is_empty(target)
    target.adopt = super(Full, target).adopt
    assert await restore_sessions(source, target) == 3


# --- files ------------------------------------------------------------------------------------------


async def test_any_store_becomes_a_file_and_is_a_store_again(source: Store, tmp_path: Path) -> None:
    file, again = tmp_path / "new" / "backup.db", SQLiteStore(tmp_path / "again.db")

    copied = await back_up(source, file)
    backup = backup_of(source, file)
    await backup.open()
    restored = await restore(backup, again)
    await backup.close()

    assert (copied.sessions, restored) == (3, 3)
    assert [found.name for found in file.parent.iterdir()] == ["backup.db"]
    await again.open()
    assert await journals(again) == await journals(source)
    assert await visited(again, limit=10) == [C, A, B]
    await again.close()


async def test_a_backup_of_sqlite_remembers_what_was_purged(sqlite: SQLiteStore, tmp_path: Path) -> None:
    await sqlite.append(A, birth(), expected_seq=0)
    await sqlite.purge(A)
    await back_up(sqlite, tmp_path / "backup.db")

    again = SQLiteStore(tmp_path / "backup.db")
    await again.open()
    head = await again.append(A, birth(), expected_seq=0)
    await again.close()

    assert head.epoch == 2


async def test_a_backup_has_what_was_there_when_it_was_made(sqlite: SQLiteStore, tmp_path: Path) -> None:
    await sqlite.append(A, birth(), expected_seq=0)

    copied = await back_up(sqlite, tmp_path / "backup.db")
    await sqlite.append(A, messages_from(3, 5), expected_seq=2)
    copy = backup_of(sqlite, tmp_path / "backup.db")
    await copy.open()
    entries = await copy.read(A)
    await copy.close()

    assert copied.sessions == 1
    assert len(entries) == 2


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_file_that_is_there_stays(kind: str, source: Store, sqlite: SQLiteStore, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    file.write_text("precious")

    with pytest.raises(InvalidMessage, match="already"):
        await back_up(source if kind == "memory" else sqlite, file)

    assert file.read_text() == "precious"


async def test_a_place_that_cannot_be_written_is_unavailable(source: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable):
        await back_up(source, tmp_path / "file" / "backup.db")


async def test_an_encrypted_store_is_backed_up_and_restored_with_its_key(
    source: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_KEY", b64encode(b"a" * 32).decode())
    monkeypatch.setenv("OTHER_KEY", b64encode(b"b" * 32).decode())
    store = SQLiteStore.from_url(f"sqlite:///{tmp_path}/jidoka.db?key=env:BACKUP_KEY")
    await store.open()
    await copy_sessions(source, store)
    await back_up(store, tmp_path / "backup.db")
    backup = backup_of(store, tmp_path / "backup.db")
    await backup.open()

    for query, refusal in {"": InvalidMessage, "?key=env:OTHER_KEY": StoreUnavailable}.items():
        with pytest.raises(refusal, match="encrypted"):
            await restore(backup, SQLiteStore.from_url(f"sqlite:///{tmp_path}/again.db{query}"))
        assert not (tmp_path / "again.db").exists()
    again = SQLiteStore.from_url(f"sqlite:///{tmp_path}/again.db?key=env:BACKUP_KEY")

    assert await examine_all(backup) == []
    assert await restore(backup, again) == 3
    await again.open()
    assert await journals(again) == await journals(source)
    for opened in (again, backup, store):
        await opened.close()


async def test_a_backup_that_was_not_encrypted_is_restored_to_a_store_that_is(
    source: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_KEY", b64encode(b"a" * 32).decode())
    await back_up(source, tmp_path / "backup.db")
    backup = SQLiteStore(tmp_path / "backup.db", read_only=True)
    await backup.open()
    target = SQLiteStore.from_url(f"sqlite:///{tmp_path}/again.db?key=env:BACKUP_KEY")

    assert await restore(backup, target) == 3

    await target.open()
    assert await journals(target) == await journals(source)
    assert await examine_all(target) == []
    for opened in (target, backup):
        await opened.close()
    with pytest.raises(StoreUnavailable, match="encrypted"):
        await SQLiteStore(tmp_path / "again.db").open()


async def test_an_encrypted_backup_is_not_restored_into_an_empty_store_that_is_not(
    source: Store, tmp_path: Path, sqlite: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_KEY", b64encode(b"a" * 32).decode())
    store = SQLiteStore.from_url(f"sqlite:///{tmp_path}/encrypted.db?key=env:BACKUP_KEY")
    await store.open()
    await copy_sessions(source, store)

    for target in (MemoryStore(), SQLiteStore(sqlite.path)):
        with pytest.raises(InvalidMessage, match="would not be"):
            await restore(store, target)

    assert await is_empty(sqlite)
    await store.close()
