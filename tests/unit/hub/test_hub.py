"""The hub tells what has happened, to whoever listens, and nothing depends on it."""

import logging
from typing import Any

import anyio
import pytest

from jidoka.core.errors import InvalidMessage, SessionNotFound
from jidoka.core.events import Event
from jidoka.hub import hub as hub_module
from jidoka.hub.hub import EVERYTHING, EventHub
from jidoka.testing.entries import message_entry
from tests.unit.hub.conftest import SESSION, House, rest, take


async def test_what_is_published_is_heard_in_order(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events:
        await house.say(3)
        heard = await take(events, 3)

    assert [event.seq for event in heard] == [3, 4, 5]
    assert {event.type for event in heard} == {"turn_cancelled"}
    assert [event.id for event in heard] == [f"{SESSION}.1.{seq}" for seq in (3, 4, 5)]


async def test_everybody_who_listens_hears_it(house: House) -> None:
    async with house.hub.subscribe(SESSION) as one, house.hub.subscribe(SESSION) as other:
        await house.say(2)

        assert await take(one, 2) == await take(other, 2)


async def test_a_session_is_heard_by_its_own_listeners(house: House) -> None:
    await house.born("session_2")

    async with house.hub.subscribe(SESSION) as one, house.hub.subscribe("session_2") as two:
        await house.say(1, session_id="session_2")
        await house.say(1)

        assert [event.session_id for event in await take(one, 1)] == [SESSION]
        assert [event.session_id for event in await take(two, 1)] == ["session_2"]


async def test_the_topic_of_all_carries_the_lifecycle_of_every_session(house: House) -> None:
    async with house.hub.subscribe() as events:
        await house.say(1)
        await house.born("session_2")
        await house.say(1, type="session_idle")
        await house.say(1)
        house.whisper()
        house.hub.close()

        heard = [(event.session_id, event.type) for event in await rest(events)]

    assert heard == [
        ("session_2", "session_created"),
        ("session_2", "session_status"),
        (SESSION, "session_idle"),
    ]


async def test_everything_can_be_listened_to(house: House) -> None:
    heard: list[Event] = []

    with house.hub.listen(heard.append, EVERYTHING):
        await house.born("session_2")
        await house.say(1)
        house.whisper("psst")
    await house.say(1)

    assert [(event.session_id, event.seq) for event in heard] == [
        *(("session_2", 1), ("session_2", 2), (SESSION, 3), (SESSION, None)),
    ]


async def test_a_batch_is_one_order_for_session_and_global_listeners(house: House) -> None:
    async with house.hub.subscribe(SESSION) as session, house.hub.subscribe() as everybody:
        entries = await house.commit(1) + await house.commit(1, type="session_idle") + await house.commit(1)
        house.hub.publish(SESSION, entries)

        assert [event.seq for event in await take(session, 3)] == [3, 4, 5]
        assert [event.seq for event in await take(everybody, 1)] == [4]


async def test_types_choose_what_is_heard(house: House) -> None:
    async with house.hub.subscribe(SESSION, types=["session_idle", "output_received"]) as events:
        await house.say(2)
        house.whisper()
        await house.say(1, type="session_idle")

        assert [event.type for event in await take(events, 2)] == ["output_received", "session_idle"]


async def test_the_sender_hears_itself(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events:
        await house.say(1)

        assert (await anext(events)).seq == 3


# --- nobody listens -----------------------------------------------------------------------------


async def test_without_a_listener_no_event_is_made(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Event:
        raise AssertionError("an event was made for nobody")

    monkeypatch.setattr(hub_module, "event_of", refuse)

    house.hub.publish(SESSION, [message_entry(3)])
    async with house.hub.subscribe():
        house.hub.publish(SESSION, [message_entry(3)])
    async with house.hub.subscribe(SESSION):
        house.hub.publish("session_2", [message_entry(3)])


async def test_a_topic_comes_with_its_first_listener_and_goes_with_the_last(house: House) -> None:
    hub = house.hub
    assert hub.topics == []

    async with hub.subscribe(SESSION):
        async with hub.subscribe(SESSION), hub.subscribe():
            assert hub.topics == [f"client.session.{SESSION}", "client.global_events"]
            assert hub.count == 3
        assert hub.topics == [f"client.session.{SESSION}"]

    assert (hub.topics, hub.count) == ([], 0)


async def test_one_can_ask_whether_anybody_would_hear(house: House) -> None:
    assert not house.hub.is_heard(SESSION)
    async with house.hub.subscribe():
        assert not house.hub.is_heard(SESSION)
    async with house.hub.subscribe(SESSION):
        assert house.hub.is_heard(SESSION)
        assert not house.hub.is_heard("session_2")
    with house.hub.listen(print, EVERYTHING) as handle:
        assert house.hub.is_heard(SESSION)
        assert repr(handle) == "<Listener to *: open>"


async def test_a_cancelled_subscriber_leaves_no_topic(house: House) -> None:
    async def listen() -> None:
        async with house.hub.subscribe(SESSION) as events:
            await anext(events)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        heard = house.hub.count
        tasks.cancel_scope.cancel()

    assert (heard, house.hub.count, house.hub.topics) == (10, 0, [])


async def test_a_subscription_that_was_never_entered_listens_to_nothing(house: House) -> None:
    events = house.hub.subscribe(SESSION)

    with pytest.raises(RuntimeError, match="async with"):
        await anext(events)

    events.close()
    assert house.hub.count == 0


# --- listeners ----------------------------------------------------------------------------------


async def test_a_listener_that_raises_stops_nobody(house: House, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int | None] = []

    def broken(event: Event) -> None:
        raise ValueError("broken")

    for _ in range(5):
        house.hub.listen(broken, SESSION)
    house.hub.listen(lambda event: heard.append(event.seq), SESSION)
    async with house.hub.subscribe(SESSION) as events:
        with caplog.at_level(logging.ERROR, "jidoka.hub"):
            await house.say(2)
        received = await take(events, 2)

    assert heard == [event.seq for event in received] == [3, 4]
    assert [record.getMessage() for record in caplog.records] == ["a listener failed"] * 10
    assert caplog.records[0].__dict__["session_id"] == SESSION
    assert "broken" in caplog.records[0].__dict__["listener"]


async def test_a_listener_that_closes_hears_no_more_of_the_same_batch(house: House) -> None:
    heard: list[int | None] = []

    def once(event: Event) -> None:
        heard.append(event.seq)
        handle.close()

    handle = house.hub.listen(once, SESSION)
    await house.say(3)

    assert heard == [3]
    assert house.hub.topics == []


async def test_what_a_listener_sets_off_is_heard_after_what_it_heard(house: House) -> None:
    # Every listener hears one order, whoever of them publishes.
    orders: list[list[int | None]] = [[] for _ in range(8)]
    answered: list[int] = []

    def listener(number: int) -> Any:
        def hear(event: Event) -> None:
            orders[number].append(event.seq)
            if event.seq == 3 and not answered:
                answered.append(number)
                house.hub.publish(SESSION, [message_entry(5)])

        return hear

    for number in range(8):
        house.hub.listen(listener(number), SESSION)
    house.hub.publish(SESSION, [message_entry(3), message_entry(4)])

    assert orders == [[3, 4, 5]] * 8


async def test_listeners_choose_types_too(house: House) -> None:
    heard: list[str] = []

    house.hub.listen(lambda event: heard.append(event.type), SESSION, types=["session_idle"])
    await house.say(2)
    await house.say(1, type="session_idle")

    assert heard == ["session_idle"]


async def test_closing_a_listener_twice_is_fine(house: House) -> None:
    handle = house.hub.listen(print, SESSION)

    handle.close()
    handle.close()

    assert house.hub.count == 0
    assert repr(handle) == f"<Listener to {SESSION}: closed>"


# --- the end ------------------------------------------------------------------------------------


async def test_a_closed_hub_ends_its_subscriptions_after_what_waits(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events:
        await house.say(2)
        house.hub.close()
        house.hub.close()
        await house.say(1)

        assert [event.seq for event in await rest(events)] == [3, 4]
        assert await rest(events) == []
        assert house.hub.count == 0


async def test_a_closed_hub_wakes_whoever_waits(house: House) -> None:
    heard: list[list[Event]] = []

    async def listen(session_id: str | None) -> None:
        async with house.hub.subscribe(session_id) as events:
            heard.append(await rest(events))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen, SESSION)
        tasks.start_soon(listen, None)
        await anyio.wait_all_tasks_blocked()
        house.hub.close()

    assert heard == [[], []]


async def test_a_subscription_to_a_closed_hub_ends_at_once(house: House) -> None:
    house.hub.close()

    async with house.hub.subscribe(SESSION) as events:
        assert await rest(events) == []
    with house.hub.listen(print, SESSION):
        assert house.hub.count == 0


async def test_a_session_that_is_gone_ends_its_own_subscriptions(house: House) -> None:
    async with house.hub.subscribe(SESSION) as session, house.hub.subscribe() as everybody:
        await house.say(1, type="session_terminated")
        house.hub.end(SESSION)

        assert [event.type for event in await rest(session)] == ["session_terminated"]
        await house.born("session_2")
        assert [event.type for event in await take(everybody, 2)] == ["session_terminated", "session_created"]


async def test_an_end_that_a_listener_asks_for_comes_after_what_is_being_told(house: House) -> None:
    house.hub.listen(lambda _: house.hub.end(SESSION), SESSION)

    async with house.hub.subscribe(SESSION) as events:
        await house.say(2)

        assert [event.seq for event in await rest(events)] == [3, 4]


async def test_ending_a_session_that_nobody_listens_to_is_fine() -> None:
    house = House()

    house.hub.end("session_9")

    assert house.hub.topics == []


# --- bad input ----------------------------------------------------------------------------------


async def test_an_unknown_session_cannot_be_subscribed_to(house: House) -> None:
    for after in (None, 0):
        with pytest.raises(SessionNotFound):
            async with house.hub.subscribe("session_9", after=after):
                pass

    assert house.hub.topics == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"after": -1}, "after"),
        ({"after": True}, "after"),
        ({"after": "1"}, "after"),
        ({"after": 2**80}, "after"),
        ({"max_buffer": 0}, "max_buffer"),
        ({"max_buffer": 1.5}, "max_buffer"),
        ({"types": ["turn_startled"]}, "types"),
        ({"types": [3]}, "types"),
        ({"types": 3}, "types"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], field: str) -> None:
    hub: EventHub = House().hub

    with pytest.raises(InvalidMessage) as caught:
        hub.subscribe(SESSION, **options)

    assert caught.value.field == field


def test_all_sessions_together_have_no_journal_to_replay() -> None:
    with pytest.raises(InvalidMessage) as caught:
        House().hub.subscribe(None, after=0)

    assert caught.value.field == "after"


async def test_it_shows_itself(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events, house.hub.subscribe() as everybody:
        await house.say(2)

        assert repr(house.hub) == "<EventHub: 2 listening to 2 topics>"
        assert repr(events) == f"<Subscription to {SESSION}: open, 2 waiting, 0 missed>"
    assert repr(everybody) == "<Subscription to all sessions: closed, 0 waiting, 0 missed>"
