"""A subscription: bounded, honest about what it lost, for one reader at a time."""

import anyio
import pytest

from jidoka.testing.entries import status_entry
from tests.unit.hub.conftest import SESSION, House, rest, take


async def test_a_slow_subscriber_gets_one_gap_after_what_it_had_room_for(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=3) as events:
        await house.say(10)
        *kept, gap = await take(events, 4)

        assert [event.seq for event in kept] == [3, 4, 5]
        assert (gap.type, gap.seq, gap.session_id) == ("gap", None, SESSION)
        assert gap.data == {"from": 6, "to": 12, "missed": 7}
        assert events.missed == 7


async def test_after_a_gap_it_goes_on(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=2) as events:
        await house.say(5)
        await take(events, 3)
        await house.say(2)

        assert [event.seq for event in await take(events, 2)] == [8, 9]
        assert events.missed == 3


async def test_a_gap_that_has_not_been_read_grows(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=2) as events:
        await house.say(3)
        await take(events, 1)
        await house.say(2)

        heard = await take(events, 2)

    assert heard[0].seq == 4
    assert heard[1].data == {"from": 5, "to": 7, "missed": 3}


async def test_each_gap_is_told_of(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=1) as events:
        await house.say(2)
        first = await take(events, 2)
        await house.say(3)
        second = await take(events, 2)

    assert first[1].data == {"from": 4, "to": 4, "missed": 1}
    assert second[0].seq == 5
    assert second[1].data == {"from": 6, "to": 7, "missed": 2}
    assert first[1].id != second[1].id


async def test_everything_is_heard_or_counted(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=10) as events:
        heard, lost = 0, 0
        for round in range(50):
            await house.say(round % 17)
            for _ in range(min(round % 5, len(events._feed))):  # pyright: ignore[reportPrivateUsage]
                event = await anext(events)
                heard += event.type != "gap"
                lost += event.data.get("missed", 0)
        house.hub.close()
        for event in await rest(events):
            heard += event.type != "gap"
            lost += event.data.get("missed", 0)

    assert heard + lost == sum(round % 17 for round in range(50))
    assert lost == events.missed > 0


async def test_live_events_take_room_and_are_counted(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=2) as events:
        for number in range(4):
            house.whisper(str(number))

        *kept, gap = await take(events, 3)

    assert [event.data["text"] for event in kept] == ["0", "1"]
    assert gap.data == {"from": None, "to": None, "missed": 2}


async def test_a_gap_in_the_topic_of_all_belongs_to_no_session(house: House) -> None:
    async with house.hub.subscribe(max_buffer=1) as events:
        await house.say(3, type="session_idle")

        _, gap = await take(events, 2)

    assert (gap.session_id, gap.data["missed"]) == ("", 2)


async def test_a_gap_is_told_to_those_who_chose_other_types_too(house: House) -> None:
    async with house.hub.subscribe(SESSION, types=["session_idle"], max_buffer=1) as events:
        await house.say(5)
        await house.say(2, type="session_idle")

        assert [event.type for event in await take(events, 2)] == ["session_idle", "gap"]


async def test_of_a_batch_only_what_is_wanted_is_kept(house: House) -> None:
    async with house.hub.subscribe(SESSION, types=["session_idle"], max_buffer=2) as events:
        batch = [*await house.commit(3), *await house.commit(1, type="session_idle"), *await house.commit(3)]
        house.hub.publish(SESSION, batch)
        house.hub.close()

        assert [event.seq for event in await rest(events)] == [6]


async def test_a_waiting_subscriber_is_woken(house: House) -> None:
    heard: list[int | None] = []

    async def listen() -> None:
        async with house.hub.subscribe(SESSION) as events:
            async for event in events:
                heard.append(event.seq)
                if event.seq == 5:
                    break

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
            await house.say(1)

    assert heard == [3, 4, 5]


async def test_a_subscriber_is_not_woken_for_what_it_does_not_want(house: House) -> None:
    async with house.hub.subscribe(SESSION, types=["session_idle"]) as events, anyio.create_task_group() as tasks:
        tasks.start_soon(anext, events)
        await anyio.wait_all_tasks_blocked()
        waiter = events._waiter  # pyright: ignore[reportPrivateUsage]
        await house.say(3)

        assert waiter is not None
        assert not waiter.is_set()
        tasks.cancel_scope.cancel()


async def test_a_reader_that_is_cancelled_loses_nothing(house: House) -> None:
    async with house.hub.subscribe(SESSION, max_buffer=1000) as events:
        heard: list[int | None] = []
        for _ in range(300):
            with anyio.CancelScope() as scope:
                scope.cancel()
                heard.append((await anext(events)).seq)
            await house.say(1)
        heard += [event.seq for event in await take(events, 300 - len(heard))]

    assert heard == list(range(3, 303))


async def test_a_reader_with_much_to_read_lets_others_run(house: House) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    async with house.hub.subscribe(SESSION, max_buffer=1000) as events, anyio.create_task_group() as tasks:
        await house.say(1000)
        tasks.start_soon(other)
        await take(events, 1000)
        order.append("reader")

    assert order == ["other", "reader"]


async def test_two_cannot_read_one_subscription(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events, anyio.create_task_group() as tasks:
        tasks.start_soon(anext, events)
        await anyio.wait_all_tasks_blocked()

        with pytest.raises(anyio.BusyResourceError):
            await anext(events)
        await house.say(1)


async def test_a_closed_subscription_gives_nothing_more(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events:
        await house.say(2)
        events.close()
        events.close()

        assert await rest(events) == []
    assert house.hub.count == 0


async def test_closing_wakes_the_reader(house: House) -> None:
    async with house.hub.subscribe(SESSION) as events, anyio.create_task_group() as tasks:
        heard: list[object] = []

        async def listen() -> None:
            heard.extend(await rest(events))
            heard.append("end")

        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        events.close()

    assert heard == ["end"]


async def test_a_subscription_is_entered_once(house: House) -> None:
    events = house.hub.subscribe(SESSION)
    async with events:
        with pytest.raises(RuntimeError, match="once"):
            await events.__aenter__()
    with pytest.raises(RuntimeError, match="once"):
        await events.__aenter__()


async def test_a_terminated_session_has_nothing_more_to_say(house: House) -> None:
    ending = [status_entry(3, "terminating", "active"), status_entry(4, "terminated", "terminating")]
    await house.store.append(SESSION, ending, expected_seq=2)

    async with house.hub.subscribe(SESSION) as live, house.hub.subscribe(SESSION, after=2) as replay:
        assert await rest(live) == []
        assert [event.seq for event in await rest(replay)] == [3, 4]
