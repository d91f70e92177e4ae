"""Calls that are cancelled, or time out, at any moment: nothing is done twice, and no answer goes to somebody else."""

import os
from contextlib import suppress
from random import Random

import anyio
import pytest

from jidoka.adapters.postgres import PostgresStore
from jidoka.core.errors import StoreUnavailable
from jidoka.testing.entries import A, birth, message_entry
from tests.proxy import FaultProxy
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import CONNECTIONS, eventually, our_threads, settled, until_answered

# JIDOKA_APPENDS=10000 for what is promised in full.
APPENDS = int(os.environ.get("JIDOKA_APPENDS", "300"))
READS = 2_000
SESSIONS = 50
SEED = 20_30


@pytest.mark.timeout(30 + APPENDS / 20)
async def test_whatever_became_of_an_append_its_key_finds_out(far: PostgresStore, proxy: FaultProxy) -> None:
    chance = Random(SEED)
    print(f"seed {SEED}")
    await far.append(A, birth(), expected_seq=0)
    settled_at: dict[str, int] = {}
    unknown = 0

    for number in range(APPENDS):
        key = f"key {number}"
        make_trouble(proxy, chance)
        # The writer knows where the journal ends: all that went before has been settled.
        entry = message_entry(3 + number, key, key=key)
        acknowledged = None
        with suppress(StoreUnavailable), anyio.move_on_after(chance.uniform(0, 0.01)):
            acknowledged = await far.append(A, [entry], expected_seq=2 + number)
        unknown += acknowledged is None
        found = await settled(far, key, key)
        assert acknowledged is None or acknowledged.seq == found.seq
        settled_at[key] = found.seq

    proxy.heal()
    journal = await until_answered(lambda: far.read(A, after=2))
    assert {entry.key: entry.seq for entry in journal} == settled_at
    assert [entry.seq for entry in journal] == list(range(3, APPENDS + 3))
    assert APPENDS / 10 < unknown < APPENDS


def make_trouble(proxy: FaultProxy, chance: Random) -> None:
    match chance.randrange(20):
        case 0:
            proxy.reset()
        case 1:
            proxy.lose_answer()
        case 2:
            proxy.half_open() if chance.random() < 0.1 else proxy.reset()
        case 3:
            proxy.latency = chance.choice((0, 0.001, 0.003))
        case _:
            pass


async def test_cancelled_calls_do_not_mix_up_answers(
    far: PostgresStore, proxy: FaultProxy, postgres: Postgres, database: str
) -> None:
    ids = [f"session_{number:03}" for number in range(SESSIONS)]
    for session_id in ids:
        await far.append(session_id, [*birth(owner=session_id), message_entry(3, session_id)], expected_seq=0)
    threads = our_threads()
    proxy.latency = 0.001
    answered = cancelled = 0

    async def ask(worker: int) -> None:
        nonlocal answered, cancelled
        chance = Random(SEED + worker)
        for _ in range(READS // SESSIONS):
            session_id = chance.choice(ids)
            with anyio.move_on_after(chance.uniform(0, 0.2) if chance.random() < 0.5 else 10) as scope:
                if chance.random() < 0.5:
                    assert (await far.read(session_id))[2].data["content"] == session_id
                else:
                    head = await far.head(session_id)
                    assert head is not None
                    assert (head.session_id, head.owner) == (session_id, session_id)
                answered += 1
            cancelled += scope.cancelled_caught

    async with anyio.create_task_group() as tasks:
        for worker in range(SESSIONS):
            tasks.start_soon(ask, worker)

    proxy.latency = 0
    assert answered + cancelled == READS
    assert cancelled > READS / 10
    assert our_threads() == threads
    await eventually(lambda: postgres.connections(database) <= CONNECTIONS, "connections that nobody uses to end")
