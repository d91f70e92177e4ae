"""Sessions that nobody looks after: whoever claims one first acts, and nobody else does."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.errors import Fenced, InvalidMessage, SessionNotFound
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.sessions import requests as ask
from jidoka.sessions.housekeeper import MOST
from jidoka.testing.events import EventLog
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, all_of, journal, moves, said, types_of
from tests.stories.processes import Line, Machine, at_rest

ACTIVE, IDLE, SUSPENDED = SessionStatus.ACTIVE, SessionStatus.IDLE, SessionStatus.SUSPENDED
DAY = 86_400.0


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def machine(store: MemoryStore, world: VirtualWorld) -> Machine:
    return Machine(lambda: store, world)


class Together:
    """Clients on one store at the same time, each on a line that waits, and what they told."""

    def __init__(self, clients: list[Client], lines: list[Line], logs: list[EventLog]) -> None:
        self.clients, self.lines, self.logs = clients, lines, logs

    def told(self, type: str) -> list[Any]:
        return [event for log in self.logs for event in log.events if event.type == type]


@asynccontextmanager
async def together(
    store: MemoryStore, world: VirtualWorld, count: int, *, models: Any = None, **settings: Any
) -> AsyncIterator[Together]:
    lines = [Line(store, waits=True) for _ in range(count)]
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Client(line, models=models, settings=Settings(**settings), world=world))  # pyright: ignore
            for line in lines
        ]
        logs = [EventLog() for _ in clients]
        for client, log in zip(clients, logs, strict=True):
            client.house.hub.listen(log)
        yield Together(clients, lines, logs)


# --- stale sessions -----------------------------------------------------------------------------------


async def test_what_a_crash_left_behind_is_suspended_when_nobody_has_used_it_for_long(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        await session.send_message("user", "before")

    async with machine.process() as client:
        await machine.world.advance(1800)
        assert (await client.get_session_info(session.id)).status is ACTIVE
        await machine.world.advance(200)

        assert (await client.get_session_info(session.id)).status is SUSPENDED
        last = (await journal(client, session))[-1]
        assert (last.type, last.data) == ("session_suspended", {"reason": "stale"})
        assert await said(client.session(session.id)) == [("user", "before")]


async def test_a_turn_that_was_open_is_closed_first(machine: Machine) -> None:
    async with machine.interrupted(crashes=True) as session:
        pass

    async with machine.process() as client:
        await machine.world.advance(2000)

        assert (await types_of(client, session))[-3:] == ["turn_failed", "session_status", "session_suspended"]


async def test_a_session_that_waits_for_a_person_is_left_alone(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        await session.halt(reason="look")

    async with machine.process() as client:
        await machine.world.advance(20_000)

        assert (await client.get_session_info(session.id)).status is SessionStatus.WAITING_INPUT


@pytest.mark.parametrize(("suspend_after", "passed", "status"), [(60, 300, SUSPENDED), (10_000, 5_000, ACTIVE)])
async def test_each_session_has_its_own_time(
    machine: Machine, suspend_after: float, passed: float, status: SessionStatus
) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session(config={"suspend_after": suspend_after})

    async with machine.process() as client:
        await machine.world.advance(passed)

        assert (await client.get_session_info(session.id)).status is status


async def test_sessions_that_are_here_are_their_own_business(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    for _ in range(20):
        await world.advance(250)
        await session.get_history()

    assert await moves(client, session) == ["active"]


async def test_of_several_processes_one_acts(store: MemoryStore, world: VirtualWorld, machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        ids = [(await client.create_session()).id for _ in range(30)]

    async with together(store, world, 3) as all_:
        await world.advance(2500)

        suspended = all_.told("session_suspended")
        assert Counter(event.session_id for event in suspended) == dict.fromkeys(ids, 1)
        assert {event.data["reason"] for event in suspended} == {"stale"}
        for id in ids:
            entries = await store.read(id)
            assert [entry.type for entry in entries].count("session_suspended") == 1
            assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))


async def test_two_who_saw_the_same_session_do_not_both_act(
    store: MemoryStore, world: VirtualWorld, machine: Machine
) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()

    async with together(store, world, 2, housekeeping_every=DAY) as all_:
        await world.advance(3000)
        head = await store.head(session.id)
        assert head is not None

        seen = ask.SuspendStale(session.id, head.epoch)
        outcomes = await all_of([partial(client.door.manager, seen) for client in all_.clients * 3])

        assert sorted(outcomes) == [False] * 5 + [True]
        assert (await types_of(all_.clients[0], session)).count("session_suspended") == 1


async def test_an_owner_that_lives_after_all_claims_its_session_back(store: MemoryStore, world: VirtualWorld) -> None:
    async with together(store, world, 2) as all_:
        session = await all_.clients[0].create_session()
        await session.send_message("user", "first")
        for _ in range(9):
            # Reading is no activity in the journal.
            await world.advance(250)
            assert await said(session) == [("user", "first")]
        assert await moves(all_.clients[0], session) == ["active", "suspended"]

        await session.send_message("user", "second")

        assert await moves(all_.clients[0], session) == ["active", "suspended", "active"]
        assert await said(session) == [("user", "first"), ("user", "second")]
        assert await said(all_.clients[1].session(session.id)) == [("user", "first"), ("user", "second")]
        await journal(all_.clients[0], session)


async def test_a_session_that_its_owner_has_used_meanwhile_is_not_suspended(
    store: MemoryStore, world: VirtualWorld
) -> None:
    async with together(store, world, 2, housekeeping_every=DAY) as all_:
        session = await all_.clients[0].create_session()
        head = await store.head(session.id)
        assert head is not None
        await world.advance(1000)
        await session.send_message("user", "still here")
        await world.advance(1000)

        manager = all_.clients[1].house.manager
        assert manager is not None
        assert await manager.call(ask.SuspendStale(session.id, head.epoch)) is False

        await session.send_message("user", "and here")
        assert [content for _, content in await said(session)] == ["still here", "and here"]
        assert "session_suspended" not in await types_of(all_.clients[0], session)


# --- turns that are to be run again -------------------------------------------------------------------


async def test_of_several_processes_that_saw_an_open_turn_one_runs_it_again(
    store: MemoryStore, world: VirtualWorld, machine: Machine
) -> None:
    model = ScriptedModel(["whole"])
    async with together(store, world, 3, models={"slow": model}) as all_:
        await at_rest()
        async with machine.interrupted(crashes=True, interrupted_turn="resume") as session:
            pass
        head = await store.head(session.id)
        assert head is not None

        seen = ask.Activate(session.id, seen_epoch=head.epoch)
        outcomes = await all_of([partial(client.door.manager, seen) for client in all_.clients])
        await at_rest()

        assert [type(outcome) for outcome in outcomes].count(Fenced) == 2
        assert len(model.seen) == 1
        types = await types_of(all_.clients[0], session)
        assert (types.count("turn_completed"), types.count("turn_failed")) == (1, 0)
        for client in all_.clients:
            assert [content for _, content in await said(client.session(session.id))] == ["before", "question", "whole"]


# --- retention ----------------------------------------------------------------------------------------


ENDS: dict[str, Any] = {"suspended": Session.suspend, "terminated": Session.terminate}


@pytest.mark.parametrize("status", ENDS)
async def test_what_rests_is_purged_when_it_has_had_its_age(client: Client, world: VirtualWorld, status: str) -> None:
    session = await client.create_session(config={"max_age": 7200})
    await session.send_message("user", "secret")
    await ENDS[status](session)

    await world.advance(7140)
    assert (await session.info()).status == status
    await world.advance(300)

    with pytest.raises(SessionNotFound):
        await session.info()
    assert await client.list_sessions(status=list(SessionStatus)) == []  # pyright: ignore


async def test_whoever_listens_hears_that_a_session_has_had_its_age(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_age": 100})
    await session.suspend()
    async with session.subscribe() as events:
        await world.advance(300)

        heard = [event async for event in events]

    assert [event.type for event in heard] == ["session_status", "session_status", "session_terminated"]
    assert heard[-1].data["reason"] == "max_age"


async def test_what_is_used_or_waits_is_kept(client: Client, world: VirtualWorld) -> None:
    used = await client.create_session(config={"max_age": 1000, "suspend_after": 10_000})
    waits = await client.create_session(config={"max_age": 1000})
    await waits.halt(reason="look")
    await world.advance(3000)

    assert (await used.info()).status is IDLE
    assert (await waits.info()).status is SessionStatus.WAITING_INPUT


async def test_a_setting_is_written_into_the_journal(world: VirtualWorld) -> None:
    store = MemoryStore()
    async with Client(store, settings=Settings(max_age=1000), world=world) as client:
        plain = await client.create_session()
        own = await client.create_session(config={"max_age": 5000, "idle_after": 7})
        never = await client.create_session(config={"max_age": None})
        fork = await plain.fork()
        old = await client.import_session(await never.export())
        configs = [(await session.info()).config for session in (plain, own, never, fork, old)]
        assert [config.get("max_age") for config in configs] == [1000, 5000, None, 1000, None]
        assert configs[1]["idle_after"] == 7
        for session in (plain, own, never):
            await session.suspend()

    # A process with other settings goes by what the journal says.
    async with Client(store, settings=Settings(max_age=10), world=world) as client:
        await world.advance(1200)
        left = {info.session_id for info in await client.list_sessions()}
        assert plain.id not in left
        assert {own.id, never.id} <= left


async def test_of_several_processes_one_purges(store: MemoryStore, world: VirtualWorld) -> None:
    async with together(store, world, 3) as all_:
        ids = [(await all_.clients[0].create_session(config={"max_age": 500})).id for _ in range(30)]
        for id in ids:
            await all_.clients[0].session(id).suspend()

        await world.advance(700)

        assert Counter(event.session_id for event in all_.told("session_terminated")) == dict.fromkeys(ids, 1)
        assert await store.count() == {}


async def test_a_round_does_so_much_and_no_more(world: VirtualWorld) -> None:
    store = MemoryStore()
    async with Client(store, world=world) as client:
        for number in range(MOST + 300):
            session = await client.create_session(config={"max_age": 90 if number else None})
            await session.suspend()

        await world.advance(121)
        assert len(await client.list_sessions(limit=1000)) == 300
        await world.advance(60)
        assert len(await client.list_sessions(limit=1000)) == 1


# --- how it fails -------------------------------------------------------------------------------------


async def test_a_store_that_is_away_is_tried_again(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()

    async with machine.process() as client:
        line: Any = client.house.store
        line.is_away = True
        await machine.world.advance(3000)
        assert "the store is away" in caplog.text
        line.is_away = False
        await machine.world.advance(60)

        assert (await client.get_session_info(session.id)).status is SUSPENDED


async def test_one_damaged_session_does_not_keep_the_others_waiting(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        sessions = [await client.create_session() for _ in range(5)]

    async with machine.process() as client:
        line: Any = client.house.store
        line.damaged.add(sessions[0].id)
        await machine.world.advance(3000)

        line.damaged.clear()
        assert [(await client.get_session_info(session.id)).status for session in sessions] == [
            ACTIVE,
            *[SUSPENDED] * 4,
        ]


async def test_a_housekeeper_that_is_killed_comes_back(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()

    async with machine.process() as client:
        assert client.house.top is not None
        for _ in range(5):
            housekeeper = await client.house.top.child("housekeeper")
            housekeeper.kill()
            await housekeeper.wait_stopped()
        await machine.world.advance(2000)

        assert (await client.get_session_info(session.id)).status is SUSPENDED


async def test_a_session_that_cannot_be_claimed_holds_nobody_up(world: VirtualWorld) -> None:
    store = HeldStore()
    async with a_client(store, world=world) as client:
        sessions = [await client.create_session(config={"max_age": 500}) for _ in range(3)]
        for session in sessions:
            await session.suspend()
        hold = store.hold(sessions[0].id, "claim")

        await world.advance(600)
        assert hold.reached.is_set()
        await (await client.create_session()).send_message("user", "meanwhile")
        await world.advance(6)

        assert [await store.head(session.id) is None for session in sessions] == [False, True, True]
        hold.released.set()
        await at_rest()
        assert await store.head(sessions[0].id) is None


async def test_nobody_talks_to_the_housekeeper(client: Client) -> None:
    assert client.house.top is not None
    housekeeper = await client.house.top.child("housekeeper")

    with pytest.raises(InvalidMessage):
        await housekeeper.call("hello")
