"""Each fault does what it says, and nothing else."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.core.errors import SessionExists, SessionNotFound, StaleSequence, StoreUnavailable
from jidoka.ports.store import Store
from jidoka.testing.contracts import StoreContract
from jidoka.testing.entries import A, B, birth, message_entry, seqs
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore


def at(number: int, fault: Fault) -> Callable[[Call], Fault | None]:
    return lambda call: fault if call.number == number else None


class TestWithoutFaults(StoreContract):
    @pytest.fixture
    async def store(self) -> Store:
        return FaultyStore(MemoryStore())


@pytest.mark.parametrize(("when", "expected"), [("before", [1, 2]), ("after", [1, 2, 3])])
async def test_a_stop_kills_the_process_before_or_after_the_write(when: Any, expected: list[int]) -> None:
    store = FaultyStore(MemoryStore(), at(2, Fault("stop", when)))
    await store.append(A, birth(), expected_seq=0)

    with pytest.raises(StoreUnavailable, match=f"stopped {when} write 2"):
        await store.append(A, [message_entry(3)], expected_seq=2)

    assert store.is_stopped
    assert store.last == Call(2, "append", A)
    assert await seqs(store.store, A) == expected


CALLS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "claim": lambda store: store.claim(A),
    "append": lambda store: store.append(A, [message_entry(3)], expected_seq=2),
    "adopt": lambda store: store.adopt(B, birth(), epoch=1),
    "purge": lambda store: store.purge(A),
    "read": lambda store: store.read(A),
    "head": lambda store: store.head(A),
    "entry_with": lambda store: store.entry_with(A, "key"),
    "heads": lambda store: store.heads(limit=1),
    "count": lambda store: store.count(),
    "examine": lambda store: store.examine(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_the_dead_reach_the_store_no_more(name: str) -> None:
    store = FaultyStore(MemoryStore(), at(2, Fault("stop")))
    await store.append(A, birth(), expected_seq=0)
    with pytest.raises(StoreUnavailable):
        await store.claim(A)

    with pytest.raises(StoreUnavailable, match="dead"):
        await CALLS[name](store)

    assert await seqs(store.store, A) == [1, 2]
    assert (await store.store.heads(limit=9))[0][1].epoch == 1
    assert store.writes == 2


async def test_what_was_under_way_when_the_process_died_is_not_told_to_anybody() -> None:
    world = VirtualWorld()
    slow_then_dead = {1: Fault("delay", "after", 5), 2: Fault("stop")}
    store = FaultyStore(MemoryStore(), lambda call: slow_then_dead.get(call.number or 0), world=world)
    outcomes: list[Any] = []

    async def begin() -> None:
        try:
            outcomes.append(await store.append(A, birth(), expected_seq=0))
        except StoreUnavailable as error:
            outcomes.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(StoreUnavailable):
            await store.append(B, birth(), expected_seq=0)
        await world.advance(5)

    assert isinstance(outcomes[0], StoreUnavailable)
    assert await seqs(store.store, A) == [1, 2]


@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True)])
async def test_an_error_strikes_once(when: Any, is_there: bool) -> None:
    store = FaultyStore(MemoryStore(), at(1, Fault("error", when)))

    with pytest.raises(StoreUnavailable):
        await store.append(A, birth(), expected_seq=0)

    assert (await store.head(A) is not None) is is_there
    if is_there:
        with pytest.raises(SessionExists):
            await store.append(A, birth(), expected_seq=0)
    else:
        await store.append(A, birth(), expected_seq=0)


async def test_a_read_can_fail_too() -> None:
    store = FaultyStore(MemoryStore(), lambda call: Fault("error") if call.name == "head" else None)

    with pytest.raises(StoreUnavailable):
        await store.head(A)
    with pytest.raises(SessionNotFound):
        await store.read(A)


async def test_a_delay_takes_the_time_of_the_world() -> None:
    world = VirtualWorld()
    store = FaultyStore(MemoryStore(), at(1, Fault("delay", seconds=5)), world=world)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: store.append(A, birth(), expected_seq=0))
        await world.advance(4.9)
        assert await store.head(A) is None
        await world.advance(0.1)
        assert await store.head(A) is not None


async def test_a_delay_without_a_world_is_a_mistake_of_the_test() -> None:
    store = FaultyStore(MemoryStore(), at(1, Fault("delay", seconds=5)))

    assert store.never_waits
    with pytest.raises(RuntimeError, match="needs a world"):
        await store.append(A, birth(), expected_seq=0)


async def test_a_duplicate_arrives_twice() -> None:
    store = FaultyStore(MemoryStore(), lambda call: Fault("duplicate") if call.number == 2 else None)
    await store.append(A, birth(), expected_seq=0)

    with pytest.raises(StaleSequence):
        await store.append(A, [message_entry(3)], expected_seq=2)

    assert await seqs(store, A) == [1, 2, 3]


async def test_faults_stop_when_the_plan_is_taken_away() -> None:
    store = FaultyStore(MemoryStore(), lambda _: Fault("error"))
    with pytest.raises(StoreUnavailable):
        await store.claim(A)

    store.plan = None

    assert await store.claim(A) is None
    assert repr(store) == "<FaultyStore: 2 writes, <MemoryStore: 0 sessions>>"


async def test_a_store_is_busy_while_somebody_waits_for_what_it_does() -> None:
    store = FaultyStore(HeldStore())
    hold = store.store.hold(A)  # pyright: ignore
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: store.append(A, birth(), expected_seq=0))
        await hold.reached.wait()
        assert store.is_busy
        hold.released.set()

    assert not store.is_busy
