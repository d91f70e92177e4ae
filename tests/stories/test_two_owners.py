"""Two clients with one store: one of them owns the session, the other finds out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.errors import JidokaError, SessionFailed, SessionNotFound, SessionTerminated, StoreUnavailable
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.entries import head_of
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.wellformed import all_well_formed
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import Shared, rest, said

A = "session_a"


@asynccontextmanager
async def two_clients(place: MemoryStore | None = None) -> AsyncIterator[tuple[Client, Client]]:
    place, world = place or MemoryStore(), VirtualWorld()
    async with Client(Shared(place), world=world) as one, Client(Shared(place), world=world) as other:
        await one.create_session(session_id=A, config={"max_restarts": 20})
        yield one, other
        await all_well_formed(place)


async def test_whoever_wrote_last_owns_it_and_the_other_reads_again() -> None:
    async with two_clients() as (one, other):
        for number in range(3):
            await one.session(A).send_message("user", f"one {number}")
            await other.session(A).send_message("user", f"other {number}")

        expected = [("user", f"{who} {number}") for number in range(3) for who in ("one", "other")]
        assert await said(other.session(A)) == expected


async def use(session: Session) -> None:
    await session.send_message("user", "late")


async def test_what_the_other_has_terminated_is_let_go() -> None:
    async with two_clients() as (one, other):
        await use(other.session(A))
        await other.terminate_session(A)

        for _ in range(2):
            with pytest.raises(SessionTerminated), anyio.fail_after(5):
                await use(one.session(A))

        assert A not in one.house.registry


async def test_what_the_other_has_purged_is_let_go_and_not_made_again() -> None:
    async with two_clients() as (one, other):
        await other.terminate_session(A, purge=True)

        for _ in range(2):
            with pytest.raises(SessionNotFound), anyio.fail_after(5):
                await use(one.session(A))

        assert A not in one.house.registry
        assert await one.house.store.heads(limit=1) == []


async def test_one_that_was_purged_and_made_again_by_the_other_is_not_taken_over() -> None:
    async with two_clients() as (one, other):
        await other.terminate_session(A, purge=True)
        with pytest.raises(SessionNotFound):
            await use(one.session(A))
        await other.create_session(session_id=A)
        epoch = (await head_of(other.house.store, A)).epoch

        world = one.house.world
        assert isinstance(world, VirtualWorld)
        await world.advance(60)

        assert (await head_of(other.house.store, A)).epoch == epoch


async def test_what_the_other_has_seen_fail_stays_failed_until_somebody_resumes_it() -> None:
    async with two_clients() as (one, other):
        await use(other.session(A))
        async with listening_to(other) as log:
            await kill_for_good(other, other.session(A))
            await log.next("session_failed")
        assert (await other.get_session_info(A)).status is SessionStatus.FAILED

        for _ in range(2):
            with pytest.raises(SessionFailed), anyio.fail_after(5):
                await use(one.session(A))
        info = await one.session(A).resume()

        assert (info.status, info.incarnation) == (SessionStatus.ACTIVE, 2)


class Contested(MemoryStore):
    """Just before the last words are written, somebody else claims the journal."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds = 3

    async def append(self, session_id: str, entries: list[Entry], *, expected_seq: int) -> object:  # pyright: ignore
        if entries[-1].type == "session_terminated" and self.rounds:
            self.rounds -= 1
            await self.claim(session_id)
        return await super().append(session_id, entries, expected_seq=expected_seq)


async def test_a_termination_outlasts_those_who_claim_the_journal_meanwhile() -> None:
    store = Contested()
    async with two_clients(store) as (one, _):
        await one.terminate_session(A)

        assert store.rounds == 0
        assert (await one.get_session_info(A)).status is SessionStatus.TERMINATED


@pytest.mark.parametrize("after", [None, 0])
async def test_a_termination_whose_confirmation_was_lost_is_heard_when_it_is_asked_for_again(after: int | None) -> None:
    def lose_the_answer(call: Call) -> Fault | None:
        return Fault("error", "after") if call.name == "append" else None

    store = FaultyStore(MemoryStore())
    async with Client(store, world=VirtualWorld()) as client:
        session = await client.create_session()
        await kill_for_good(client, session)
        async with session.subscribe(after=after) as events:
            store.plan = lose_the_answer
            with pytest.raises(StoreUnavailable):
                await session.terminate()
            store.plan = None
            await session.terminate()

            heard = await rest(events)

        assert [event.type for event in heard][-1] == "session_terminated"
        assert [event.seq for event in heard if event.type == "session_terminated"] == [(await session.info()).last_seq]


async def kill_for_good(client: Client, session: Session) -> None:
    """Nobody is left who could write its last words but the manager."""
    for _ in range(30):
        try:
            await kill_child(session, "context_manager")
        except JidokaError:
            break
    assert session.id not in client.house.registry
