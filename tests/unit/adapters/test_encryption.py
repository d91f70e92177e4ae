"""Encryption at rest (T79 to T82): nothing to be read without the key, nothing that was moved or changed."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import anyio
import pytest

from jidoka.adapters import sqlite_file
from jidoka.adapters.encryption import MasterKeys, keys_from
from jidoka.adapters.sqlite import SQLiteStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord, DuplicateKey, InvalidMessage, StoreUnavailable
from jidoka.core.events import EventType
from jidoka.testing.entries import NOON, A, B, birth, message_entry, messages_from, seqs, visited
from tests.unit.adapters.test_sqlite import opened, path

__all__ = ["path"]

OLD, NEW = b"o" * 32, b"n" * 32
CANARY = "canary-7f3a"


def ring(*keys: bytes) -> MasterKeys:
    return MasterKeys(list(keys))


def secretive() -> list[Entry]:
    """Everything that somebody may say, with a canary in it."""
    return [
        *birth(owner=f"{CANARY} owner", metadata={f"{CANARY} name": f"{CANARY} value"}),
        message_entry(3, f"{CANARY} content", key=f"{CANARY} key"),
        Entry(
            4, EventType.TURN_STARTED, NOON, {"turn_id": f"{CANARY} turn", "content": CANARY, "model": "echo"}, None, 1
        ),
        Entry(5, EventType.SESSION_FAILED, NOON, {"error": f"{CANARY} error"}, None, 1, f"{CANARY} correlation"),
    ]


async def test_what_is_encrypted_is_read_and_found_as_ever(path: Path) -> None:
    for _ in range(2):
        async with opened(path, keyring=ring(OLD)) as store:
            if not await store.head(A):
                await store.append(A, secretive(), expected_seq=0)
            assert await store.read(A) == secretive()
            assert await visited(store, limit=5, owner=f"{CANARY} owner") == [A]
            assert await visited(store, limit=5, metadata={f"{CANARY} name": f"{CANARY} value"}) == [A]
            assert sum((await store.count(owner=f"{CANARY} owner")).values()) == 1
            with pytest.raises(DuplicateKey):
                await store.append(A, [message_entry(6, key=f"{CANARY} key")], expected_seq=5)
            found = await store.entry_with(A, f"{CANARY} key")
            assert found is not None
            assert found.seq == 3
            assert await store.examine() == ([], None)


async def test_t79_no_file_has_anything_to_be_read(path: Path, tmp_path: Path) -> None:
    async with opened(path, keyring=ring(OLD)) as store:
        await store.append(A, secretive(), expected_seq=0)
        await store.append(B, [*birth(metadata={"big": f"{CANARY} " * 5_000}), *messages_from(3, 200)], expected_seq=0)
        await store.purge(B)
        await store.backup(tmp_path / "backup.db")
        while_open = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    closed = {f"{file.name} closed": file.read_bytes() for file in tmp_path.iterdir()}

    assert {"jidoka.db", "jidoka.db-wal", "jidoka.db-tail", "backup.db"} <= while_open.keys()
    for name, content in (while_open | closed).items():
        assert CANARY.encode() not in content, name


async def test_t79_the_search_would_have_found_it(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, secretive(), expected_seq=0)

    assert path.read_bytes().count(CANARY.encode()) >= 8


async def test_t80_keys_are_rotated_while_others_read_and_write(path: Path) -> None:
    ids = [f"session_{number:04}" for number in range(250)]
    async with opened(path, keyring=ring(OLD)) as store:
        for session_id in ids:
            await store.append(session_id, [*birth(), *messages_from(3, 38)], expected_seq=0)

    async with opened(path, keyring=ring(NEW, OLD)) as store:
        is_rotated = anyio.Event()

        async def use() -> None:
            seq, number = 40, 0
            while not is_rotated.is_set():
                number = (number + 1) % len(ids)
                assert len(await store.read(ids[number])) >= 40
                await store.append(ids[0], [message_entry(seq + 1)], expected_seq=seq)
                seq += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            after: int | None = await store.rotate(limit=100)
            await store.append(A, birth(), expected_seq=0)
            while after is not None:
                after = await store.rotate(after=after, limit=100)
            is_rotated.set()

    # The old key is not needed any more.
    async with opened(path, keyring=ring(NEW)) as store:
        for session_id in (*ids, A):
            assert (await seqs(store, session_id))[:2] == [1, 2]
        assert (await store.examine(limit=1_000))[0] == []


async def test_t80_a_rotation_that_was_stopped_goes_on(path: Path) -> None:
    async with opened(path, keyring=ring(OLD)) as store:
        for number in range(20):
            await store.append(f"session_{number:04}", birth(), expected_seq=0)
    async with opened(path, keyring=ring(NEW, OLD)) as store:
        assert await store.rotate(limit=8) == 8

    async with opened(path, keyring=ring(NEW, OLD)) as store:
        assert len(await seqs(store, "session_0019")) == 2
        after: int | None = 0
        while after is not None:
            after = await store.rotate(after=after, limit=8)

    async with opened(path, keyring=ring(NEW)) as store:
        assert await store.examine() == ([], None)


@pytest.mark.parametrize("keys", [(NEW,), ()])
async def test_t81_another_key_or_none_is_refused(path: Path, keys: tuple[bytes, ...]) -> None:
    async with opened(path, keyring=ring(OLD)) as store:
        await store.append(A, secretive(), expected_seq=0)
    before = path.read_bytes()

    for read_only in (False, True):
        with pytest.raises(StoreUnavailable, match="encrypted"):
            await SQLiteStore(path, keyring=ring(*keys) if keys else None, read_only=read_only).open()

    assert path.read_bytes() == before


async def test_a_store_that_is_not_encrypted_takes_no_key(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)

    with pytest.raises(StoreUnavailable, match="not encrypted"):
        await SQLiteStore(path, keyring=ring(OLD)).open()


@pytest.mark.parametrize(
    "change",
    [
        # A changed bit, with every checksum made right again.
        "body = cast(substr(body, 1, 30) || x'00' || substr(body, 32) as blob) where session = 1 and seq = 3",
        # A record of another session, or of another place.
        "body = (select body from entries where session = 2 and seq = 3) where session = 1 and seq = 3",
        "body = (select body from entries where session = 1 and seq = 4) where session = 1 and seq = 3",
    ],
)
async def test_t81_what_was_moved_or_changed_is_not_decrypted(path: Path, change: str) -> None:
    async with opened(path, keyring=ring(OLD)) as store:
        for session_id in (A, B):
            await store.append(session_id, [*birth(), *messages_from(3, 3)], expected_seq=0)
    connection = sqlite_file.connect(path)
    connection.execute(f"update entries set {change}")
    mend_the_chain(connection)
    connection.close()

    async with opened(path, keyring=ring(OLD)) as store:
        with pytest.raises(CorruptRecord, match="decrypted") as caught:
            await store.read(A)
        assert (caught.value.session_id, caught.value.first_seq) == (A, 3)
        assert len(await store.read(B)) == 5
        assert {damage.session_id for damage in (await store.examine())[0]} == {A}


def mend_the_chain(connection: sqlite_file.Connection) -> None:
    """As somebody would who knows the format, and not the key."""
    from jidoka.core.coding import first_sum, next_sum, with_sum

    sum = first_sum(A)
    for n, kept in connection.execute("select n, body from entries where session = 1 order by seq").fetchall():
        sum = next_sum(kept[4:], sum)
        connection.execute("update entries set body = ? where n = ?", (with_sum(kept[4:], sum), n))


async def test_t82_no_nonce_is_used_twice(path: Path) -> None:
    count = int(os.environ.get("JIDOKA_LONG_NONCES", "20000"))
    seal, _ = ring(OLD).new(A)

    nonces = {seal.seal("1", b"x")[:12] for _ in range(count)}

    assert len(nonces) == count


async def test_each_session_has_a_key_of_its_own(path: Path) -> None:
    keys = ring(OLD)

    one, wrapped = keys.new(A)
    other, _ = keys.new(A)

    assert keys.open(A, wrapped).unseal("1", one.seal("1", b"x")) == b"x"
    with pytest.raises(CorruptRecord):
        other.unseal("1", one.seal("1", b"x"))
    with pytest.raises(CorruptRecord):
        keys.open(A, None)
    with pytest.raises(CorruptRecord):
        ring(NEW).open(A, wrapped)


# --- where keys come from -------------------------------------------------------------------------


def test_keys_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    lines = "\n".join(b64encode(key).decode() for key in (NEW, OLD))
    file = tmp_path / "keys"
    file.write_text(lines)
    file.chmod(0o600)

    for keys in (keys_from("env:KEYS", {"KEYS": lines}), keys_from(f"file:{file}")):
        assert keys.mark == ring(NEW).mark
        assert "n" * 8 not in repr(keys)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "env:",
        "env:MISSING",
        "file:",
        "file:/does/not/exist",
        b64encode(OLD).decode(),
        "env:SHORT",
        "env:NONSENSE",
        "env:EMPTY",
    ],
)
def test_other_sources_are_refused_without_repeating_them(source: str) -> None:
    environment = {"SHORT": b64encode(b"secret").decode(), "NONSENSE": "s3cr3t!", "EMPTY": ""}

    with pytest.raises(InvalidMessage) as caught:
        keys_from(source, environment)

    for told in (b64encode(OLD).decode(), *filter(None, environment.values())):
        assert told not in str(caught.value)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(b64encode(OLD).decode())
    file.chmod(0o640)

    with pytest.raises(InvalidMessage, match="chmod 600"):
        keys_from(f"file:{file}")


async def test_a_url_names_the_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", b64encode(OLD).decode())
    async with Client(f"sqlite:///{path}?key=env:THE_KEY") as client:
        session = await client.create_session(metadata={"canary": CANARY})
        await session.prompt(f"{CANARY}!")
        assert CANARY not in repr(client)

    assert CANARY.encode() not in path.read_bytes()
    async with Client(f"sqlite:///{path}?key=env:THE_KEY") as client:
        assert [message.content for message in await client.session(session.id).get_history()] == [f"{CANARY}!"] * 2


async def test_there_is_nothing_to_rotate_in_a_store_that_is_not_encrypted(path: Path) -> None:
    async with opened(path) as store:
        await store.append(A, birth(), expected_seq=0)

        with pytest.raises(InvalidMessage, match="not encrypted"):
            await store.rotate()
