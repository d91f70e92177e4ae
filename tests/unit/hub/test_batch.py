"""What events weigh, and what a feed may keep of them."""

import pytest

from jidoka.core.events import EventType, live_event
from jidoka.hub import batch
from jidoka.hub.batch import MAX_BYTES, Batch, weight, weights_of
from jidoka.testing.world import VirtualWorld
from tests.unit.hub.conftest import SESSION, House, take


def an_event(**data: object) -> batch.Event:
    return live_event(SESSION, EventType.OUTPUT_RECEIVED, data, id="1", at=VirtualWorld().now())


@pytest.mark.parametrize(
    "data",
    [
        {"text": "x" * 10_000},
        {"texts": ["x" * 100] * 100},
        {"deep": {"deeper": {"deepest": ["x" * 10_000]}}},
        {"wide": {f"{number:0100}": 1 for number in range(100)}},
    ],
)
def test_an_event_weighs_what_its_text_does_and_little_more(data: dict[str, object]) -> None:
    assert 10_000 <= weight(an_event(**data)) <= 22_000


def test_what_is_not_ascii_weighs_what_it_takes_in_memory() -> None:
    assert weight(an_event(text="🦔" * 10_000)) > 40_000


def test_a_batch_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[object] = []
    monkeypatch.setattr(batch, "weight", lambda event: weighed.append(event) or 1)
    events = Batch([an_event(), an_event()])

    assert [weights_of(events) for _ in range(3)] == [[1, 1]] * 3

    assert len(weighed) == 2
    assert weights_of(list(events)) == [1, 1]


async def test_the_pages_of_a_replay_become_small_where_events_are_large(house: House) -> None:
    asked: list[int | None] = []
    read = house.store.read

    async def spied(session_id: str, *, after: int = 0, limit: int | None = None) -> object:
        asked.append(limit)
        return await read(session_id, after=after, limit=limit)

    house.store.read = spied  # pyright: ignore[reportAttributeAccessIssue]
    await house.say(300, text="x" * 20_000)
    await house.say(300)

    async with house.hub.subscribe(SESSION, after=0) as events:
        heard = await take(events, 602)

    assert [event.seq for event in heard] == list(range(1, 603))
    sizes = [limit or 0 for limit in asked]
    assert min(sizes) * 20_000 <= MAX_BYTES
    assert sizes[-1] > min(sizes)


async def test_live_events_share_the_bound_in_bytes(house: House) -> None:
    async with house.hub.subscribe(SESSION, after=0) as events:
        await take(events, 2)
        for _ in range(30):
            house.whisper("x" * 100_000)

        heard = await take(events, 10)

    assert [event.type for event in heard][8:] == ["output_received", "gap"]
    assert heard[-1].data["missed"] == events.missed == 21
