"""The server is away in every way that a server can be: callers hear of it in time, and it is back when it is back."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio
import psycopg
import pytest

from jidoka.adapters.postgres import LIMIT as DEFAULT_LIMIT
from jidoka.adapters.postgres import PostgresStore
from jidoka.core.errors import DuplicateKey, StoreUnavailable
from jidoka.core.heads import Head
from jidoka.testing.entries import A, B, birth, message_entry, seqs
from tests.proxy import FaultProxy
from tests.servers.postgres import Postgres
from tests.unit.adapters.postgres.kit import (
    CONNECTIONS,
    HEALED_WITHIN,
    LIMIT,
    SLACK,
    eventually,
    opened,
    our_threads,
    settled,
    until_answered,
)

Call = Callable[[PostgresStore], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "append": lambda store: store.append(A, [message_entry(3)], expected_seq=2),
    "create": lambda store: store.append(B, birth(), expected_seq=0),
    "claim": lambda store: store.claim(A),
    "purge": lambda store: store.purge("session_none"),
    "read": lambda store: store.read(A),
    "head": lambda store: store.head(A),
    "entry_with": lambda store: store.entry_with(A, "key"),
    "heads": lambda store: store.heads(limit=10),
    "count": lambda store: store.count(),
}


class Fault(NamedTuple):
    begin: Callable[[FaultProxy, Postgres], object]
    is_certain: bool = True
    """Whether everybody suffers from it: of half-open connections only those who are first."""


def late(proxy: FaultProxy, _: Postgres) -> None:
    proxy.latency = 2.0


FAULTS = {
    "late": Fault(late),
    "refused": Fault(lambda proxy, _: proxy.refuse()),
    "a black hole": Fault(lambda proxy, _: proxy.silence()),
    "half-open": Fault(lambda proxy, _: proxy.half_open(), is_certain=False),
    "paused": Fault(lambda _, postgres: postgres.pause()),
    "stopped": Fault(lambda _, postgres: postgres.stop()),
    "killed": Fault(lambda _, postgres: postgres.kill()),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_server_that_is_away_is_told_in_time_and_found_again(
    name: str, far: PostgresStore, proxy: FaultProxy, postgres: Postgres, database: str
) -> None:
    await far.append(A, birth(), expected_seq=0)
    await far.read(A)
    threads = our_threads()

    FAULTS[name].begin(proxy, postgres)
    outcomes = await outcomes_of_all(far)
    postgres.heal()
    proxy.heal()
    with anyio.fail_after(HEALED_WITHIN):
        entry = await settled(far, "after", "it is back")
        assert await until_answered(lambda: far.read(A)) != []

    assert entry in await far.read(A)
    for call, (outcome, seconds) in outcomes.items():
        assert seconds < LIMIT + SLACK, call
        if FAULTS[name].is_certain:
            assert isinstance(outcome, StoreUnavailable), call
    assert any(isinstance(outcome, StoreUnavailable) for outcome, _ in outcomes.values())
    assert our_threads() == threads
    await eventually(lambda: postgres.connections(database) <= CONNECTIONS, "connections that nobody uses to end")


async def outcomes_of_all(store: PostgresStore) -> dict[str, tuple[object, float]]:
    """What comes of each call, all made at once, and after how many seconds."""
    outcomes: dict[str, tuple[object, float]] = {}

    async def one(name: str) -> None:
        began = anyio.current_time()
        try:
            outcome = await CALLS[name](store)
        except StoreUnavailable as error:
            outcome = error
        outcomes[name] = outcome, anyio.current_time() - began

    async with anyio.create_task_group() as tasks:
        for name in CALLS:
            tasks.start_soon(one, name)
    return outcomes


async def test_the_limit_that_nobody_chose_is_less_than_five_seconds() -> None:
    assert DEFAULT_LIMIT + DEFAULT_LIMIT / 20 < 5.0


@pytest.mark.parametrize("fault", ["a black hole", "paused"])
async def test_many_calls_to_a_silent_server_leave_nothing_behind(
    fault: str, far: PostgresStore, proxy: FaultProxy, postgres: Postgres, database: str
) -> None:
    await far.append(A, birth(), expected_seq=0)
    threads = our_threads()
    FAULTS[fault].begin(proxy, postgres)

    for _ in range(3):
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(refused, far, "read" if number % 2 else "append")

    assert our_threads() == threads
    postgres.heal()
    proxy.heal()
    with anyio.fail_after(HEALED_WITHIN):
        await settled(far, "after", "it is back")
    await eventually(lambda: postgres.connections(database) <= CONNECTIONS, "connections that nobody uses to end")
    assert len(await far.read(A)) <= 4


async def refused(store: PostgresStore, name: str) -> None:
    with pytest.raises(StoreUnavailable):
        await CALLS[name](store)


async def test_calls_that_wait_for_somebody_elses_lock_do_not_pile_up(
    far: PostgresStore, postgres: Postgres, database: str
) -> None:
    await far.append(A, birth(), expected_seq=0)

    with psycopg.connect(postgres.dsn(database)) as somebody:
        somebody.execute("select 1 from jidoka_sessions for update")
        for _ in range(4):
            await refused(far, "append")
        # Somebody's own, one that reads, and one that has just given up beside the one that has taken its place.
        assert postgres.connections(database) <= CONNECTIONS + 2

    await settled(far, "after", "it is free")
    await eventually(lambda: postgres.connections(database) <= CONNECTIONS, "connections that nobody uses to end")


async def test_a_server_that_was_restarted_meanwhile_is_not_noticed(store: PostgresStore, postgres: Postgres) -> None:
    await store.append(A, birth(), expected_seq=0)
    await store.read(A)

    postgres.restart()

    await store.append(A, [message_entry(3)], expected_seq=2)
    assert await seqs(store, A) == [1, 2, 3]


async def test_a_store_opens_on_no_server(postgres: Postgres, database: str) -> None:
    with FaultProxy(postgres.port) as proxy:
        dsn = postgres.dsn(database, port=proxy.port)
        proxy.refuse()
        before = our_threads()

        with pytest.raises(StoreUnavailable, match="refused"):
            await PostgresStore(dsn).open()

        await eventually(lambda: our_threads() == before, "its threads to end")
        proxy.heal()
        async with opened(dsn) as store:
            await store.append(A, birth(), expected_seq=0)


async def test_a_closed_store_says_so(store: PostgresStore) -> None:
    await store.close()

    for call in CALLS.values():
        with pytest.raises(StoreUnavailable, match="closed"):
            await call(store)


async def test_a_store_can_be_closed_while_its_server_is_silent(far: PostgresStore, proxy: FaultProxy) -> None:
    await far.append(A, birth(), expected_seq=0)
    proxy.silence()

    async with anyio.create_task_group() as tasks:
        for name in ("append", "read", "heads"):
            tasks.start_soon(refused, far, name)
        with anyio.fail_after(2 * LIMIT + 2 * SLACK):
            await anyio.wait_all_tasks_blocked()
            await far.close()

    assert our_threads() == 0


# --- whether it has been done ---------------------------------------------------------------------


async def test_a_commit_whose_answer_is_lost_is_found_by_its_key(far: PostgresStore, proxy: FaultProxy) -> None:
    await far.append(A, birth(), expected_seq=0)
    proxy.lose_answer(to=b"unforgettable")

    with pytest.raises(StoreUnavailable):
        await far.append(A, [message_entry(3, "unforgettable", key="k")], expected_seq=2)

    assert proxy.lost.is_set()
    with pytest.raises(DuplicateKey) as caught:
        await far.append(A, [message_entry(3, "unforgettable", key="k")], expected_seq=2)
    assert caught.value.entry.seq == 3
    await far.append(A, [message_entry(4)], expected_seq=3)
    assert await seqs(far, A) == [1, 2, 3, 4]


async def test_a_birth_whose_answer_is_lost_is_found_by_its_key(far: PostgresStore, proxy: FaultProxy) -> None:
    proxy.lose_answer(to=b"unforgettable")

    with pytest.raises(StoreUnavailable):
        await far.append(A, birth(owner="unforgettable", key="k"), expected_seq=0)

    with pytest.raises(DuplicateKey) as caught:
        await far.append(A, birth(owner="unforgettable", key="k"), expected_seq=0)
    assert caught.value.entry.seq == 1


async def test_what_arrives_after_its_writer_gave_up_changes_nothing_that_came_later(
    far: PostgresStore, store: PostgresStore, proxy: FaultProxy
) -> None:
    await far.append(A, birth(), expected_seq=0)
    proxy.silence()
    with pytest.raises(StoreUnavailable):
        await far.append(A, [message_entry(3, "late")], expected_seq=2)
    await store.append(A, [message_entry(3, "in time")], expected_seq=2)

    proxy.heal()

    head = await until_answered(lambda: far.append(A, [message_entry(4, "after")], expected_seq=3))
    assert isinstance(head, Head)
    assert [entry.data["content"] for entry in await store.read(A, after=2)] == ["in time", "after"]


async def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_made_again(
    far: PostgresStore, proxy: FaultProxy
) -> None:
    await far.append(A, [*birth(), *(message_entry(seq, "x" * 10_000) for seq in range(3, 53))], expected_seq=0)
    await far.read(A)

    proxy.cut_after(100_000)
    broken = 0
    for _ in range(4):
        try:
            assert len(await far.read(A)) == 52
        except StoreUnavailable:
            broken += 1
    proxy.heal()

    assert broken
    assert len(await until_answered(lambda: far.read(A))) == 52
