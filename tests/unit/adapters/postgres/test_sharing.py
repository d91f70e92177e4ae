"""Several stores on one database: what one remembers of a session never outweighs what another has written."""

import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest

from jidoka.adapters.postgres import PostgresStore
from jidoka.core.errors import DuplicateKey, Fenced, SessionExists, StaleSequence, Tombstoned
from jidoka.core.heads import Head
from jidoka.testing.entries import A, B, C, attempts, birth, head_of, message_entry, metadata_entry, seqs
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import eventually, opened

ROOT = Path(__file__).parents[4]
PAIRS = 25


async def test_a_writer_that_another_store_has_fenced_is_refused(store: PostgresStore, other: PostgresStore) -> None:
    await store.append(A, birth(), expected_seq=0)
    await other.claim(A)

    with pytest.raises(Fenced) as caught:
        await store.append(A, [message_entry(3)], expected_seq=2)

    assert (caught.value.epoch, caught.value.current) == (1, 2)
    await other.append(A, [message_entry(3, epoch=2)], expected_seq=2)
    assert await seqs(store, A) == [1, 2, 3]


async def test_a_writer_that_another_store_has_overtaken_is_told_the_head(
    store: PostgresStore, other: PostgresStore
) -> None:
    await store.append(A, birth(), expected_seq=0)
    await other.append(A, [message_entry(3), message_entry(4)], expected_seq=2)

    with pytest.raises(StaleSequence) as caught:
        await store.append(A, [message_entry(3)], expected_seq=2)

    assert caught.value.head_seq == 4


async def test_what_another_store_has_written_is_followed_on(store: PostgresStore, other: PostgresStore) -> None:
    await store.append(A, birth(metadata={"a": 1}), expected_seq=0)
    await other.append(A, [metadata_entry(3, {"b": 2}, 2), message_entry(4)], expected_seq=2)
    await store.append(B, birth(), expected_seq=0)

    # This store still remembers seq 2, and is right all the same.
    head = await store.append(A, [message_entry(5)], expected_seq=4)

    assert (head.seq, head.metadata, head.message_count) == (5, {"a": 1, "b": 2}, 2)
    assert await store.examine() == ([], None)


async def test_a_key_that_another_store_has_written_is_found(store: PostgresStore, other: PostgresStore) -> None:
    await store.append(A, birth(), expected_seq=0)
    await other.append(A, [message_entry(3, key="k")], expected_seq=2)

    for expected_seq in (2, 3):
        with pytest.raises(DuplicateKey) as caught:
            await store.append(A, [message_entry(expected_seq + 1, key="k")], expected_seq=expected_seq)
        assert caught.value.entry.seq == 3


async def test_what_another_store_has_purged_does_not_come_back(store: PostgresStore, other: PostgresStore) -> None:
    await store.append(A, birth(), expected_seq=0)
    await other.purge(A)

    with pytest.raises(Tombstoned):
        await store.append(A, [message_entry(3)], expected_seq=2)
    assert await store.claim(A) is None

    again = await other.append(A, birth(), expected_seq=0)
    with pytest.raises(Fenced):
        await store.append(A, [message_entry(3)], expected_seq=2)
    with pytest.raises(SessionExists):
        await store.append(A, birth(), expected_seq=0)
    assert again.epoch == 2


async def test_nothing_of_a_purged_session_is_kept(store: PostgresStore, postgres: Postgres, database: str) -> None:
    await store.append(A, [*birth(owner="ada", metadata={"a": 1}), message_entry(3, key="k")], expected_seq=0)

    await store.purge(A)

    for table in ("entries", "profiles", "terms"):
        assert postgres.ask(f"select count(*) from jidoka_{table}", database=database) == ["0"]


async def test_of_creators_in_several_stores_one_succeeds(store: PostgresStore, other: PostgresStore) -> None:
    results: list[object] = []

    async def create(which: PostgresStore) -> None:
        results.extend(await attempts(which, A, [(birth(), 0)] * 5))

    for purge_first in (False, True):
        if purge_first:
            await store.purge(A)
        results.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create, store)
            tasks.start_soon(create, other)
        assert sum(isinstance(result, Head) for result in results) == 1
        assert sum(isinstance(result, SessionExists) for result in results) == 9


async def test_claims_of_several_stores_are_all_different(store: PostgresStore, other: PostgresStore) -> None:
    await store.append(A, birth(), expected_seq=0)
    epochs: list[int] = []

    async def claim(which: PostgresStore) -> None:
        for _ in range(10):
            head = await which.claim(A)
            assert head is not None
            epochs.append(head.epoch)

    async with anyio.create_task_group() as tasks:
        for which in (store, other, store, other):
            tasks.start_soon(claim, which)

    assert sorted(epochs) == list(range(2, 42))


async def test_pairs_of_eight_writers_are_all_kept_and_whole(store: PostgresStore, other: PostgresStore) -> None:
    await store.append(A, birth(), expected_seq=0)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(write_pairs, (store, other)[number % 2], f"writer {number}")

    check_pairs([entry.data["content"] for entry in await store.read(A, after=2)], writers=8)
    assert await other.examine() == ([], None)


async def write_pairs(store: PostgresStore, name: str) -> None:
    for number in range(PAIRS):
        while True:
            seq = (await head_of(store, A)).seq
            pair = [message_entry(seq + 1 + half, f"{name}/{number}/{half}") for half in (0, 1)]
            try:
                await store.append(A, pair, expected_seq=seq)
            except StaleSequence:
                continue
            break


def check_pairs(said: list[str], *, writers: int) -> None:
    assert len(said) == writers * PAIRS * 2
    assert [first[:-1] for first in said[::2]] == [second[:-1] for second in said[1::2]]
    by_writer: dict[str, list[int]] = {}
    for content in said[::2]:
        name, number, _ = content.split("/")
        by_writer.setdefault(name, []).append(int(number))
    assert list(by_writer.values()) == [list(range(PAIRS))] * writers


PROCESS = """
import sys, anyio
from jidoka.adapters.postgres import PostgresStore
from tests.unit.adapters.postgres.test_sharing import write_pairs

async def main(dsn, *names):
    store = PostgresStore(dsn)
    await store.open()
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(write_pairs, store, name)
    await store.close()

anyio.run(main, *sys.argv[1:])
"""


def run_process(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-c", PROCESS, *arguments], cwd=ROOT, check=True)


async def test_pairs_of_several_processes_are_all_kept_and_whole(store: PostgresStore, postgres_dsn: str) -> None:
    await store.append(A, birth(), expected_seq=0)
    names = [[f"writer {process}.{task}" for task in range(2)] for process in range(3)]

    async with anyio.create_task_group() as tasks:
        for some in names:
            tasks.start_soon(anyio.to_thread.run_sync, run_process, [postgres_dsn, *some])

    check_pairs([entry.data["content"] for entry in await store.read(A, after=2)], writers=6)
    assert await store.examine() == ([], None)


async def test_a_deadlock_is_got_over(postgres: Postgres, database: str) -> None:
    postgres.ask(f"alter database {database} set deadlock_timeout = '1500ms'")
    dsn = postgres.dsn(database)
    with psycopg.connect(dsn, autocommit=True) as watch, psycopg.connect(dsn) as first, psycopg.connect(dsn) as second:

        def waits() -> bool:
            asked = "select 1 from pg_stat_activity where application_name = 'jidoka' and wait_event_type = 'Lock'"
            return watch.execute(asked).fetchone() is not None

        async with opened(dsn) as store:
            for session_id in (A, B, C):
                await store.append(session_id, birth(), expected_seq=0)
            first.execute(LOCK, (A,))
            # Whoever waits longer than this ends the circle. It is not to be this one.
            second.execute("set deadlock_timeout = '1min'")
            second.execute(LOCK, (C,))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(append_one, store, A)
                await eventually(waits, "the writer to wait for the first")
                tasks.start_soon(append_one, store, B)
                tasks.start_soon(append_one, store, C)
                await anyio.wait_all_tasks_blocked()
                first.commit()
                await eventually(lambda: is_locked(watch, B) and waits(), "the writer to hold B and wait for C")
                await anyio.to_thread.run_sync(second.execute, LOCK, (B,))
                second.commit()

            assert [await seqs(store, session_id) for session_id in (A, B, C)] == [[1, 2, 3]] * 3


LOCK = "update jidoka_sessions set version = version where session_id = %s"


def is_locked(watch: psycopg.Connection, session_id: str) -> bool:
    free = "select 1 from jidoka_sessions where session_id = %s for update skip locked"
    return watch.execute(free, (session_id,)).fetchone() is None


async def append_one(store: PostgresStore, session_id: str) -> None:
    await store.append(session_id, [message_entry(3)], expected_seq=2)
