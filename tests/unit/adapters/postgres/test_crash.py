"""`kill -9` of the server while many write: what was acknowledged is there, once, when it is back."""

import os

import anyio
import pytest

from jidoka.adapters.postgres import PostgresStore
from jidoka.core.errors import DuplicateKey, Fenced, StaleSequence, StoreUnavailable
from jidoka.testing.entries import birth, head_of, message_entry
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import until_answered

KILLS = int(os.environ.get("JIDOKA_KILLS", "2"))
WRITERS = 10


@pytest.mark.timeout(30 + 5 * KILLS)
async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(store: PostgresStore, postgres: Postgres) -> None:
    ids = [f"session_{number:03}" for number in range(WRITERS)]
    acknowledged: dict[str, dict[str, int]] = {session_id: {} for session_id in ids}
    is_time_to_kill, is_over = anyio.Event(), False

    async def write(session_id: str) -> None:
        await store.append(session_id, birth(), expected_seq=0)
        head = await head_of(store, session_id)
        number = 0
        while not is_over:
            key = f"{session_id} {number}"
            try:
                entry = message_entry(head.seq + 1, key, key=key)
                head = await store.append(session_id, [entry], expected_seq=head.seq)
            except DuplicateKey as there:
                acknowledged[session_id][key] = there.entry.seq
                head = await until_answered(lambda: head_of(store, session_id))
            except (StoreUnavailable, StaleSequence, Fenced):
                head = await until_answered(lambda: head_of(store, session_id))
                continue
            else:
                acknowledged[session_id][key] = head.seq
            number += 1
            if number % 20 == 0:
                is_time_to_kill.set()

    async with anyio.create_task_group() as tasks:
        for session_id in ids:
            tasks.start_soon(write, session_id)
        for _ in range(KILLS):
            await is_time_to_kill.wait()
            is_time_to_kill = anyio.Event()
            postgres.kill().start()
        await until_answered(store.count)
        is_over = True

    for session_id in ids:
        journal = await store.read(session_id)
        assert [entry.seq for entry in journal] == list(range(1, len(journal) + 1))
        assert {entry.key: entry.seq for entry in journal[2:]} == acknowledged[session_id]
    assert await store.examine() == ([], None)
