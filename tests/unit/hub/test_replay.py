"""A subscription that begins in the past: every entry once, in order, whatever happens meanwhile."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.entries import Entry
from jidoka.core.errors import SessionNotFound
from jidoka.core.events import EventType, event_of, live_event
from jidoka.core.heads import Head
from jidoka.hub.hub import EventHub
from jidoka.hub.replay import PAGE
from tests.unit.hub.conftest import SESSION, House, rest, take


class SlowReader:
    """Reads a memory store, with a pause before and after, in which others write."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reads = 0
        self.meanwhile: list[Callable[[], Awaitable[None]]] = []
        self.after_head: Callable[[], Awaitable[None]] | None = None

    async def read(self, session_id: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        self.reads += 1
        await anyio.lowlevel.checkpoint()
        entries = await self.house.store.read(session_id, after=after, limit=limit)
        if self.meanwhile:
            await self.meanwhile.pop()()
        await anyio.lowlevel.checkpoint()
        return entries

    async def head(self, session_id: str) -> Head | None:
        head = await self.house.store.head(session_id)
        if self.after_head is not None:
            await self.after_head()
        return head


@pytest.fixture
def reader(house: House) -> SlowReader:
    reader = SlowReader(house)
    house.hub = EventHub(reader, house.world)
    return reader


async def test_it_begins_after_the_entry_that_was_named(house: House) -> None:
    await house.say(5)

    async with house.hub.subscribe(SESSION, after=0) as all, house.hub.subscribe(SESSION, after=4) as some:
        assert [event.seq for event in await take(all, 7)] == [1, 2, 3, 4, 5, 6, 7]
        assert [event.seq for event in await take(some, 3)] == [5, 6, 7]


async def test_after_the_past_comes_what_happens(house: House) -> None:
    await house.say(3)

    async with house.hub.subscribe(SESSION, after=3) as events:
        await take(events, 2)
        await house.say(2)

        assert [event.seq for event in await take(events, 2)] == [6, 7]


async def test_a_replayed_event_equals_the_live_one(house: House) -> None:
    async with house.hub.subscribe(SESSION) as live, house.hub.subscribe(SESSION, after=2) as replayed:
        await house.say(1)

        assert await take(live, 1) == await take(replayed, 1)
    async with house.hub.subscribe(SESSION, after=2) as later:
        assert (await anext(later)).id == f"{SESSION}.1.3"


async def test_what_happens_before_the_first_read_comes_in_its_place(house: House) -> None:
    await house.say(2)

    async with house.hub.subscribe(SESSION, after=1) as events:
        await house.say(2)

        assert [event.seq for event in await take(events, 5)] == [2, 3, 4, 5, 6]


async def test_a_future_entry_is_waited_for(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=4) as events:
        await house.say(4)

        assert [event.seq for event in await take(events, 2)] == [5, 6]


async def test_a_long_past_is_read_page_by_page(house: House, reader: SlowReader) -> None:
    await house.say(3 * PAGE)

    async with house.hub.subscribe(SESSION, after=0) as events:
        heard = await take(events, 3 * PAGE + 2)

    assert [event.seq for event in heard] == list(range(1, 3 * PAGE + 3))
    assert reader.reads == 4


async def test_no_gap_and_no_duplicate_while_others_publish(house: House, reader: SlowReader) -> None:
    await house.say(2 * PAGE + 7)
    wanted = 2 * PAGE + 9 + 500
    heard: dict[int, list[int | None]] = {}

    async def publish() -> None:
        for number in range(200):
            await house.say(1 + number % 4)
            await anyio.lowlevel.checkpoint()

    async def listen(after: int) -> None:
        async with house.hub.subscribe(SESSION, after=after, max_buffer=10 + after % 3) as events:
            heard[after] = [event.seq for event in await take(events, wanted - after)]

    async with anyio.create_task_group() as tasks:
        for after in range(0, 2 * PAGE, 61):
            tasks.start_soon(listen, after)
        tasks.start_soon(publish)

    for after, seqs in heard.items():
        assert seqs == list(range(after + 1, wanted + 1))


async def test_what_did_not_fit_is_read_from_the_journal(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2, max_buffer=3) as events:
        await take_nothing(house)
        await house.say(50)

        assert [event.seq for event in await take(events, 50)] == list(range(3, 53))
        assert events.missed == 0
        await house.say(1)
        assert (await anext(events)).seq == 53


async def take_nothing(house: House) -> None:
    """Let everybody come to rest."""
    await house.world.settle()


async def test_what_was_never_told_is_healed_by_the_next_that_is(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2) as events:
        await house.say(1)
        await take(events, 1)
        await house.commit(2)
        await house.say(1)

        assert [event.seq for event in await take(events, 3)] == [4, 5, 6]
        assert events.missed == 0


async def test_a_hole_is_healed_when_the_reader_already_waits(house: House) -> None:
    heard: list[int | None] = []

    async def listen() -> None:
        async with house.hub.subscribe(SESSION, after=2) as events:
            heard.extend(event.seq for event in await take(events, 4))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        await house.commit(3)
        await anyio.wait_all_tasks_blocked()
        assert heard == []
        await house.say(1)

    assert heard == [3, 4, 5, 6]


async def test_a_late_word_is_not_heard_twice(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2) as events:
        late = await house.commit(2)
        await house.say(1)
        heard = await take(events, 3)
        house.hub.publish(SESSION, late)
        await house.say(1)
        heard += await take(events, 1)

    assert [event.seq for event in heard] == [3, 4, 5, 6]


async def test_types_choose_from_past_and_present(house: House, reader: SlowReader) -> None:
    await house.say(10)
    await house.say(1, type="session_idle")
    await house.say(10)

    async with house.hub.subscribe(SESSION, after=0, types=["session_idle", "session_created"]) as events:
        past = await take(events, 2)
        reads = reader.reads
        await house.say(10)
        await house.say(1, type="session_idle")
        present = await take(events, 1)

    assert [event.seq for event in past + present] == [1, 13, 34]
    assert reader.reads == reads


async def test_what_is_not_wanted_takes_no_room(house: House, reader: SlowReader) -> None:
    async with house.hub.subscribe(SESSION, after=2, types=["session_idle"], max_buffer=1) as events:
        house.hub.publish(SESSION, [])
        with anyio.move_on_after(0.01):
            await anext(events)
        reads = reader.reads
        await house.say(100)
        await house.say(1, type="session_idle")

        assert (await anext(events)).seq == 103
        assert reader.reads == reads


async def test_live_events_come_after_what_they_follow(house: House) -> None:
    await house.say(2)

    async with house.hub.subscribe(SESSION, after=0) as events:
        house.whisper("after 4")
        await house.say(1)
        house.whisper("after 5")
        await house.commit(1)
        await house.say(1)
        house.whisper("after 7")
        heard = await take(events, 10)

    said = [event.seq if event.seq is not None else event.data["text"] for event in heard]
    assert [seq for seq in said if isinstance(seq, int)] == [1, 2, 3, 4, 5, 6, 7]
    for number in (4, 5, 7):
        assert said.index(f"after {number}") > said.index(number)


async def test_live_events_that_did_not_fit_are_counted_and_told_of(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2, max_buffer=2) as events:
        for number in range(5):
            house.whisper(str(number))
        await house.say(1)

        heard = await take(events, 4)
        assert [event.data.get("text") for event in heard[:2]] == ["0", "1"]
        assert events.missed == 3
        assert {heard[2].type, heard[3].type} == {"turn_cancelled", "gap"}


async def test_after_live_events_were_lost_no_later_one_comes_before_the_gap(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2, max_buffer=2) as events:
        await take_nothing(house)
        for number in range(3):
            house.whisper(str(number))
        first = await take(events, 1)
        house.whisper("3")
        heard = await take(events, 2)

    assert [event.data.get("text") for event in first + heard] == ["0", "1", None]
    assert heard[1].data == {"from": None, "to": None, "missed": 2}


async def test_a_gap_waits_for_the_hole_before_it(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=1, max_buffer=1) as events:
        await take(events, 1)
        for number in range(3):
            house.whisper(str(number))
        await house.commit(1)
        await house.say(1)

        heard = await take(events, 4)

    assert [event.data.get("text") or event.seq or event.type for event in heard] == ["0", 3, 4, "gap"]


async def test_one_batch_may_hold_live_events_and_entries(house: House) -> None:
    live = live_event(SESSION, EventType.OUTPUT_RECEIVED, {}, id="live", at=house.world.now())

    async with house.hub.subscribe(SESSION, after=2) as events:
        stored = [event_of(SESSION, entry) for entry in await house.commit(2)]
        events.receive([live, *stored])
        house.hub.close()

        assert [event.seq for event in await rest(events)] == [None, 3, 4]


async def test_a_live_event_waits_for_the_hole_before_it(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=1) as events:
        await take(events, 1)
        await house.commit(1)
        await house.say(1)
        house.whisper("after 4")

        heard = await take(events, 3)

    assert [event.seq for event in heard] == [3, 4, None]


async def test_the_buffer_keeps_its_bound(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2, max_buffer=5) as events:
        for _ in range(20):
            await house.say(1)
            house.whisper()

        assert len(events._feed) == 5  # pyright: ignore[reportPrivateUsage]


async def test_what_was_buffered_while_the_journal_was_read_is_not_read_again(house: House, reader: SlowReader) -> None:
    reader.meanwhile = [lambda: house.say(2)]

    async with house.hub.subscribe(SESSION, after=2) as events:
        await house.say(1)
        assert [event.seq for event in await take(events, 3)] == [3, 4, 5]

    assert reader.reads == 1


async def test_what_is_told_between_looking_and_listening_is_not_lost(house: House, reader: SlowReader) -> None:
    await house.say(PAGE - 2)
    reader.after_head = lambda: house.say(1)

    async with house.hub.subscribe(SESSION, after=0) as events:
        house.hub.close()
        heard = await rest(events)

    assert [event.seq for event in heard] == list(range(1, PAGE + 2))


async def test_a_word_that_comes_too_late_and_out_of_order_does_no_harm(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2) as events:
        await house.say(1)
        heard = await take(events, 1)
        late = await house.commit(1)
        await house.say(2)
        house.whisper("after 6")
        house.hub.publish(SESSION, late)
        heard += await take(events, 4)
        await house.say(1)
        heard += await take(events, 1)

    assert [event.seq for event in heard] == [3, 4, 5, 6, None, 7]


async def test_a_reader_that_is_cancelled_while_it_reads_loses_nothing(house: House, reader: SlowReader) -> None:
    await house.say(20)
    heard: list[int | None] = []

    async with house.hub.subscribe(SESSION, after=0, max_buffer=2) as events:
        for number in range(60):
            with anyio.CancelScope() as scope:
                if number % 3:
                    scope.cancel()
                heard.append((await anext(events)).seq)
            if number % 5 == 0:
                await house.say(5)
        heard += [event.seq for event in await take(events, 82 - len(heard))]

    assert heard == list(range(1, 83))


async def test_a_purged_journal_is_an_error_or_the_end(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=0) as told, house.hub.subscribe(SESSION, after=0) as untold:
        await house.store.purge(SESSION)

        with pytest.raises(SessionNotFound):
            await anext(untold)
        house.hub.end(SESSION)
        assert await rest(told) == []


async def test_what_was_told_and_is_nowhere_is_a_gap_and_not_an_endless_wait(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=2) as events:
        entries = [Entry(seq, "turn_cancelled", house.world.now(), {"turn_id": "t"}, None, 1) for seq in (5, 6)]
        house.hub.publish(SESSION, entries)

        gap = await anext(events)

        assert events.missed == 4
    assert (gap.type, gap.data) == ("gap", {"from": 3, "to": 6, "missed": 4})


async def test_a_reader_with_a_long_past_lets_others_run(house: House) -> None:
    await house.say(10 * PAGE)
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    async with house.hub.subscribe(SESSION, after=0, types=["gap"]) as events, anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        house.hub.close()
        assert await rest(events) == []
        order.append("reader")

    assert order == ["other", "reader"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 6)),
        st.tuples(st.just("commit"), st.integers(1, 4)),
        st.tuples(st.just("late"), st.integers(1, 4)),
        st.tuples(st.just("whisper"), st.just(1)),
        st.tuples(st.just("take"), st.integers(1, 8)),
        st.tuples(st.just("cancelled"), st.just(1)),
    ),
    max_size=40,
)


@given(before=st.integers(0, 12), after=st.integers(0, 12), room=st.integers(1, 6), steps=STEPS)
def test_whatever_happens_every_entry_is_heard_once_in_order(
    before: int, after: int, room: int, steps: list[tuple[str, int]]
) -> None:
    anyio.run(_live_through, before, after, room, steps)


async def _live_through(before: int, after: int, room: int, steps: list[tuple[str, int]]) -> None:
    house = House()
    house.hub = EventHub(SlowReader(house), house.world)
    await house.born()
    await house.say(before)
    heard: list[Any] = []
    late: list[Entry] = []
    whispered = 0

    async with house.hub.subscribe(SESSION, after=after, max_buffer=room) as events:
        for step, count in steps:
            match step:
                case "say":
                    await house.say(count)
                case "commit":
                    await house.commit(count)
                case "late":
                    if count % 2:
                        late += await house.commit(count)
                    else:
                        house.hub.publish(SESSION, late)
                case "whisper":
                    house.whisper()
                    whispered += 1
                case "take":
                    await _take_some(events, count, heard)
                case _:
                    await _take_cancelled(events, heard)
        await house.say(13)
        house.hub.close()
        heard += await rest(events)

    head = await house.store.head(SESSION)
    assert head is not None
    assert [event.seq for event in heard if event.seq is not None] == list(range(after + 1, head.seq + 1))
    live = [event for event in heard if event.type == "output_received"]
    assert len(live) + events.missed == whispered


async def _take_some(events: Any, count: int, heard: list[Any]) -> None:
    # Reading never waits for long: what would is cancelled once everybody is at rest.
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            for _ in range(count):
                heard.append(await anext(events))
            tasks.cancel_scope.cancel()

        tasks.start_soon(read)
        for _ in range(30):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def _take_cancelled(events: Any, heard: list[Any]) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        heard.append(await anext(events))
