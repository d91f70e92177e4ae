"""Whoever listens hears everything once, in order, and holds nobody up."""

import logging
import random
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.errors import SessionNotFound
from jidoka.core.events import GLOBAL_TYPES, EventType
from jidoka.session import Session
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import Shared, a_client, all_of, journal, rest, take, types_of, waiting_now


async def test_one_subscription_hears_everything_of_a_session_in_one_order(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe() as events:
        await session.send_message("user", "hello")
        await session.add_file("a.py")
        await session.put_context("key", 1)
        await session.update(metadata={"a": 1})
        await session.halt(reason="look")
        await session.approve(decision="approve")
        await session.clear_history()
        await session.suspend()
        await session.resume()
        await session.terminate()

        heard = await rest(events)

    entries = (await journal(client, session))[2:]
    assert [(event.seq, event.type, event.data) for event in heard] == [
        (entry.seq, str(entry.type), entry.data) for entry in entries
    ]
    assert len({event.id for event in heard}) == len(heard)
    assert {event.session_id for event in heard} == {session.id}


async def test_events_survive_json_and_follow_cloudevents(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe(after=0) as events:
        for event in await take(events, 2):
            assert type(event).model_validate_json(event.model_dump_json()) == event
            wire = event.cloudevent()
            assert {"specversion", "id", "source", "type", "time", "data"} <= set(wire)
            assert (wire["specversion"], wire["type"], wire["subject"]) == ("1.0", event.type, session.id)


@pytest.mark.parametrize("count", [1, 3])
async def test_several_subscribers_all_hear_it(client: Client, count: int) -> None:
    session = await client.create_session()
    heard: list[list[int | None]] = []

    async def listen() -> None:
        async with session.subscribe() as events:
            heard.append([event.seq for event in await take(events, 3)])

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        for number in range(3):
            await session.send_message("user", f"{number}")

    assert heard == [[3, 4, 5]] * count


async def test_topics_come_with_the_first_subscriber_and_go_with_the_last(client: Client) -> None:
    session = await client.create_session(session_id="a_topic_of_its_own")
    hub = client.house.hub
    assert hub.topics == []
    async with session.subscribe(), session.subscribe(), client.subscribe_to_all_sessions():
        assert set(hub.topics) == {"client.session.a_topic_of_its_own", "client.global_events"}
        assert (hub.count, (await client.stats()).subscriptions) == (3, 3)
    assert (hub.topics, hub.count) == ([], 0)


async def test_whoever_has_left_hears_nothing(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe() as left, session.subscribe() as stays:
        await session.send_message("user", "first")
        left.close()
        await session.send_message("user", "second")

        assert await rest(left) == []
        assert [event.seq for event in await take(stays, 2)] == [3, 4]


async def test_only_the_types_that_were_asked_for_are_told(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe(types=["file_added", EventType.SESSION_TERMINATED]) as events:
        await session.send_message("user", "hello")
        await session.add_file("a.py")
        await session.terminate()

        assert [event.type for event in await rest(events)] == ["file_added", "session_terminated"]


@pytest.mark.parametrize("types", [("file_added",), {"file_added"}, range(1), "file_added"], ids=type)
async def test_types_may_be_given_in_any_collection(client: Client, types: Any) -> None:
    session = await client.create_session()
    chosen = ("file_added" for _ in types) if isinstance(types, range) else types
    async with session.subscribe(types=chosen) as events:
        await session.send_message("user", "hello")
        await session.add_file("a.py")

        assert [event.type for event in await waiting_now(events)] == ["file_added"]


# --- all sessions -----------------------------------------------------------------------------------------------------


async def test_the_global_topic_carries_the_lives_of_all_sessions_and_nothing_else(
    client: Client, world: VirtualWorld
) -> None:
    async with client.subscribe_to_all_sessions() as events:
        session = await client.create_session(config={"idle_after": 10, "suspend_after": 20, "max_restarts": 0})
        other = await client.create_session()
        await session.send_message("user", "hello")
        await session.add_file("a.py")
        await session.put_context("a", 1)
        await other.prompt("hello")
        await world.advance(11)
        await session.halt(reason="look")
        await session.approve(decision="approve")
        await kill_child(session, "context_manager")
        await world.advance(0)
        await session.resume()
        await other.terminate()

        heard = await waiting_now(events)

    assert [event.type for event in heard if event.session_id == session.id] == [
        *("session_created", "session_status"),
        *("session_status", "session_idle"),
        *("session_status", "session_status", "session_halted", "session_status"),
        *("session_status", "session_failed"),
        *("session_status", "session_resumed"),
    ]
    assert [event.type for event in heard if event.session_id == other.id] == [
        *("session_created", "session_status", "session_status", "session_status", "session_terminated"),
    ]


async def test_the_global_topic_can_be_asked_for_some_types_only(client: Client) -> None:
    async with client.subscribe_to_all_sessions(types=["session_terminated"]) as events:
        session = await client.create_session()
        await session.terminate()

        assert [event.session_id for event in await waiting_now(events)] == [session.id]


# --- from the past ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 5, 11, 12])
async def test_a_replay_begins_after_the_entry_that_was_named_and_goes_on_live(client: Client, after: int) -> None:
    session = await client.create_session()
    for number in range(10):
        await session.send_message("user", f"{number}")
    async with session.subscribe(after=after) as events:
        replayed = await take(events, 12 - after)
        await session.send_message("user", "live")

        assert [event.seq for event in [*replayed, *await take(events, 1)]] == list(range(after + 1, 14))


@pytest.mark.parametrize("seed", range(15))
async def test_a_replay_has_neither_gap_nor_duplicate_across_kills(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    session = await client.create_session(config={"max_restarts": 1000})
    heard: dict[int, list[int | None]] = {}

    async def listen(after: int) -> None:
        async with session.subscribe(after=after, max_buffer=chance.choice([1, 3, 1000])) as events:
            mine = heard[after] = []
            async for event in events:
                if event.seq is not None:
                    mine.append(event.seq)
                if chance.random() < 0.3:
                    await anyio.lowlevel.checkpoint()

    disturbances = [
        partial(kill_child, session, "context_manager"),
        partial(kill_supervisor, session),
        partial(kill_manager, client),
        session.suspend,
        *[anyio.lowlevel.checkpoint] * 4,
    ]

    async def work() -> None:
        for number in range(30):
            await session.send_message("user", f"{number}")
            await chance.choice(disturbances)()
        await session.terminate()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for after in (0, 1, 2):
                tasks.start_soon(listen, after)
            tasks.start_soon(work)

    last = len(await journal(client, session))
    assert heard == {after: list(range(after + 1, last + 1)) for after in (0, 1, 2)}


async def test_a_live_subscription_survives_the_kills_of_those_it_listens_to(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe() as events:
        for kill in (partial(kill_child, session, "context_manager"), partial(kill_supervisor, session)):
            await kill()
            await session.send_message("user", "after")
        seqs = [event.seq for event in await waiting_now(events)]

    assert seqs == list(range(3, len(await journal(client, session)) + 1))


@pytest.mark.parametrize("after", [0, 3])
async def test_the_journal_of_an_ended_session_can_be_replayed_and_ends(client: Client, after: int) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")
    await session.terminate()

    async with session.subscribe(after=after) as events:
        heard = await rest(events)

    assert [event.type for event in heard] == (await types_of(client, session))[after:]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_subscription_ends_with_its_session(client: Client, when: str) -> None:
    session = await client.create_session()
    if when == "before":
        await session.terminate()
    async with session.subscribe() as events:
        if when == "after":
            await session.terminate()

        types = [event.type for event in await rest(events)]

    assert types == ([] if when == "before" else ["session_status", "session_status", "session_terminated"])


async def test_a_subscription_outlives_a_failure_and_a_suspension(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 0})
    async with session.subscribe() as events:
        await session.suspend()
        await session.resume()
        await kill_child(session, "context_manager")
        await world.advance(0)
        await session.resume()
        await session.send_message("user", "still here")

        heard = await waiting_now(events)

    assert heard[-1].type == "conversation_added"
    assert [event.seq for event in heard] == list(range(3, len(await journal(client, session)) + 1))


async def test_a_subscription_of_a_purged_session_ends(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe() as live, session.subscribe(after=0) as replay:
        await session.terminate(purge=True)

        assert [event.type for event in await rest(live)][-1] == "session_terminated"
        await rest(replay)


@pytest.mark.parametrize("is_asleep", [False, True])
async def test_a_purge_is_told_when_it_has_happened(client: Client, is_asleep: bool) -> None:
    session = await client.create_session()
    if is_asleep:
        await session.suspend()
    async with session.subscribe() as own, client.subscribe_to_all_sessions() as all_sessions:
        await session.terminate(purge=True, reason="enough")

        heard = await rest(own)
        told = await waiting_now(all_sessions)

    said = [(event.type, event.data.get("status", event.data.get("reason"))) for event in heard]
    assert said == [
        ("session_status", "terminating"),
        ("session_status", "terminated"),
        ("session_terminated", "enough"),
    ]
    first = heard[0].seq
    assert first is not None
    assert [event.seq for event in heard] == [first, first + 1, first + 2]
    assert [event.type for event in told] == [event.type for event in heard if event.type in GLOBAL_TYPES]


async def test_whoever_listens_to_what_was_purged_without_a_word_is_told_at_last() -> None:
    store = Shared(MemoryStore())
    async with a_client(store) as client:
        session = await client.create_session()
        await session.suspend()
        async with session.subscribe() as events:
            await store.store.purge(session.id)
            with pytest.raises(SessionNotFound):
                await session.terminate()

            assert await rest(events) == []


async def test_a_subscription_ends_with_its_client(world: VirtualWorld) -> None:
    async with anyio.create_task_group() as tasks:
        heard: list[str] = []
        async with Client(world=world) as client:
            session = await client.create_session()
            ready = anyio.Event()

            async def listen() -> None:
                async with session.subscribe() as events:
                    ready.set()
                    heard.extend(event.type for event in await rest(events))

            tasks.start_soon(listen)
            await ready.wait()
            await session.send_message("user", "hello")
        with anyio.fail_after(5):
            await anyio.wait_all_tasks_blocked()

    assert heard == ["conversation_added"]


async def test_nobody_can_listen_to_a_session_that_is_not_there(client: Client) -> None:
    for subscribe in (client.session("nobody_there").subscribe, partial(client.subscribe_to_session, "nobody_there")):
        with pytest.raises(SessionNotFound):
            async with subscribe():
                pass


# --- slow and broken listeners ----------------------------------------------------------------------------------------


async def test_a_slow_subscriber_is_told_of_what_it_has_missed(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe(max_buffer=3) as slow, session.subscribe() as quick:
        for number in range(10):
            await session.send_message("user", f"{number}")

        heard = await take(slow, 4)
        assert [event.seq for event in heard] == [3, 4, 5, None]
        assert heard[3].type == "gap"
        assert {name: heard[3].data[name] for name in ("from", "to")} == {"from": 6, "to": 12}
        assert slow.missed == 7
        await session.send_message("user", "after")
        assert [event.seq for event in await take(slow, 1)] == [13]
        assert [event.seq for event in await take(quick, 11)] == list(range(3, 14))


async def test_a_slow_subscriber_with_after_misses_nothing(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe(after=0, max_buffer=1) as slow:
        for number in range(600):
            await session.send_message("user", f"{number}")

        assert [event.seq for event in await take(slow, 602)] == list(range(1, 603))
        assert slow.missed == 0


async def test_a_listener_that_raises_stops_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    session = await client.create_session()

    def broken(event: Any) -> None:
        raise RuntimeError("no")

    hub = client.house.hub
    with caplog.at_level(logging.CRITICAL), hub.listen(broken, session.id), hub.listen(broken):
        async with session.subscribe() as events, listening_to(client) as log:
            message = await session.send_message("user", "hello")
            assert [event.seq for event in await take(events, 1)] == [message.seq]
            await session.terminate()
            assert log.types[-1] == "session_terminated"


async def test_the_outcome_is_the_same_whether_anybody_listens_or_not(client: Client) -> None:
    async def life(session: Session) -> list[Any]:
        await session.send_message("user", "hello")
        await session.prompt("echo")
        await kill_child(session, "context_manager")
        await session.suspend()
        await session.resume()
        await session.terminate()
        return await types_of(client, session)

    alone = await life(await client.create_session())
    session = await client.create_session()
    async with session.subscribe(), session.subscribe(after=0), client.subscribe_to_all_sessions():
        listened_to = await life(session)

    assert listened_to == alone


async def test_what_a_call_has_done_has_been_told_when_it_returns(client: Client) -> None:
    session = await client.create_session()
    async with listening_to(client, session.id) as log:
        message = await session.send_message("user", "hello")
        assert log.events[-1].seq == message.seq
        await all_of([partial(session.send_message, "user", f"{number}") for number in range(10)])
        assert [event.seq for event in log.events] == list(range(3, 14))
