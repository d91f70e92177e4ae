"""Encryption at rest in PostgreSQL: nothing readable is kept, and the keys come from outside."""

import base64
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from jidoka.adapters.backups import back_up, backup_of
from jidoka.adapters.encryption import MasterKeys
from jidoka.adapters.postgres import PostgresStore
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.core.errors import DuplicateKey, InvalidMessage, StoreUnavailable
from jidoka.ports.store import Store
from jidoka.testing.entries import A, B, birth, message_entry, metadata_entry, visited
from jidoka.wiring import store_for
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import opened

OLD, NEW = b"o" * 32, b"n" * 32
CANARY = "canary-5d1e"


def keys(*masters: bytes) -> MasterKeys:
    return MasterKeys(list(masters))


async def test_nothing_readable_is_kept(postgres: Postgres, database: str, postgres_dsn: str) -> None:
    secrets = {"owner": "ada.lovelace", "name": "projectname", "value": "apolloeleven", "text": "the eagle has landed"}
    async with opened(postgres_dsn, keyring=keys(OLD)) as store:
        metadata = {secrets["name"]: secrets["value"]}
        entries = [
            *birth(owner=secrets["owner"], metadata=metadata),
            message_entry(3, secrets["text"], key="secretkey"),
        ]
        await store.append(A, entries, expected_seq=0)
        await store.append(A, [metadata_entry(4, {"more": secrets["text"]}, 2)], expected_seq=3)

        assert await visited(store, limit=5, owner=secrets["owner"], metadata=metadata) == [A]
        with pytest.raises(DuplicateKey):
            await store.append(A, [message_entry(5, key="secretkey")], expected_seq=4)
        assert await store.examine() == ([], None)

    dump = postgres.dump(database)
    for secret in (*secrets.values(), "secretkey"):
        assert secret not in dump
        assert secret.encode().hex() not in dump


@pytest.mark.parametrize("masters", [[NEW], []])
async def test_without_its_key_a_store_does_not_open(masters: list[bytes], postgres_dsn: str) -> None:
    async with opened(postgres_dsn, keyring=keys(OLD)) as store:
        await store.append(A, birth(), expected_seq=0)

    with pytest.raises(StoreUnavailable, match="encrypted"):
        await PostgresStore(postgres_dsn, keyring=keys(*masters) if masters else None).open()


async def test_stores_that_open_an_empty_database_at_once_agree_on_its_keys(postgres_dsn: str) -> None:
    stores = [PostgresStore(postgres_dsn, keyring=keys(OLD)) for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(store.open)

    await stores[0].append(A, birth(owner="ada"), expected_seq=0)

    for store in stores:
        assert await visited(store, limit=5, owner="ada") == [A]
        await store.close()


async def test_keys_are_wrapped_anew_while_others_write(postgres_dsn: str) -> None:
    async with opened(postgres_dsn, keyring=keys(OLD)) as store:
        for number in range(5):
            await store.append(f"session_{number:03}", birth(), expected_seq=0)

    async with opened(postgres_dsn, keyring=keys(NEW, OLD)) as store:
        after = await store.rotate(limit=2)
        await store.append(B, birth(), expected_seq=0)
        while after is not None:
            after = await store.rotate(after=after, limit=2)

    async with opened(postgres_dsn, keyring=keys(NEW)) as store:
        assert await store.examine() == ([], None)
        assert len(await store.heads(limit=100)) == 6
        await store.append("session_000", [message_entry(3)], expected_seq=2)


async def test_a_url_names_the_key(monkeypatch: pytest.MonkeyPatch, postgres_dsn: str) -> None:
    monkeypatch.setenv("JOURNAL_KEY", base64.b64encode(os.urandom(32)).decode())

    for _ in range(2):
        store = store_for(f"{postgres_dsn}?key=env:JOURNAL_KEY")
        await store.open()
        await store.count()
        await store.close()
    with pytest.raises(StoreUnavailable, match="encrypted"):
        await store_for(postgres_dsn).open()


async def test_a_backup_is_encrypted_with_the_same_master_keys(postgres_dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    async with opened(postgres_dsn, keyring=keys(OLD)) as store:
        entries = [*birth(owner="ada", metadata={"project": CANARY}), message_entry(3, CANARY, key=CANARY)]
        await store.append(A, entries, expected_seq=0)

        assert (await back_up(store, file)).sessions == 1

        async with opened_file(backup_of(store, file)) as copy:
            assert await copy.read(A) == entries
            assert await visited(copy, limit=5, owner="ada") == [A]
        # What the store itself looks up is hidden with a secret of its own, as before.
        assert await visited(store, limit=5, owner="ada") == [A]
    assert [path.name for path in tmp_path.iterdir()] == ["backup.db"]
    assert CANARY.encode() not in file.read_bytes()
    with pytest.raises(StoreUnavailable, match="encrypted"):
        await SQLiteStore(file, read_only=True).open()


@asynccontextmanager
async def opened_file(store: Store) -> AsyncGenerator[Store]:
    await store.open()
    yield store
    await store.close()


async def test_there_is_nothing_to_rotate_without_a_key(postgres_dsn: str) -> None:
    async with opened(postgres_dsn) as store:
        with pytest.raises(InvalidMessage, match="not encrypted"):
            await store.rotate()
