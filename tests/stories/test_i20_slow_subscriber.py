"""I20: a subscriber that does not read slows nobody, keeps no more than its bounds, and is told what it has missed."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from jidoka.client import Client
from jidoka.hub.batch import MAX_BYTES
from jidoka.hub.subscription import Subscription
from jidoka.session import Session
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import a_client, take
from tests.stories.stores import STORES

SUBSCRIBERS = 1_000
MESSAGES = 60


@pytest.fixture(params=STORES)
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with a_client(STORES[request.param](tmp_path), world=VirtualWorld()) as client:
        yield client


async def publish(session: Session, count: int, content: str = "hello") -> float:
    """Seconds until *count* messages were sent, with a turn of the loop after each for those who read."""
    passed = 0.0
    for _ in range(count):
        began = time.perf_counter()
        await session.send_message("user", content)
        passed += time.perf_counter() - began
        await anyio.wait_all_tasks_blocked()
    return passed


async def read(events: Subscription, counts: dict[Subscription, int]) -> None:
    async for _ in events:
        counts[events] = counts.get(events, 0) + 1


async def test_one_of_a_thousand_that_is_stalled_slows_nobody_and_hears_of_its_gap(client: Client) -> None:
    session = await client.create_session()
    counts: dict[Subscription, int] = {}
    took: dict[str, list[float]] = {"all read": [], "one is stalled": []}

    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        readers = [await stack.enter_async_context(session.subscribe()) for _ in range(SUBSCRIBERS - 1)]
        for reader in readers:
            tasks.start_soon(read, reader, counts)
        await anyio.wait_all_tasks_blocked()
        # Twice, by turns: what else this machine does meanwhile concerns both.
        for _ in range(2):
            took["all read"].append(await publish(session, MESSAGES // 4))
            async with session.subscribe(max_buffer=10) as stalled:
                took["one is stalled"].append(await publish(session, MESSAGES // 4))
                heard = await take(stalled, 11)
                assert [event.type for event in heard] == ["conversation_added"] * 10 + ["gap"]
                assert heard[-1].data["missed"] == MESSAGES // 4 - 10
                assert heard[-1].data["to"] == (await session.info()).last_seq

        assert set(counts.values()) == {MESSAGES}
        assert len(counts) == SUBSCRIBERS - 1
        tasks.cancel_scope.cancel()

    # Generous: one subscriber of a thousand costs a thousandth.
    assert min(took["one is stalled"]) <= 2.0 * min(took["all read"])


async def test_what_waits_is_bounded_in_bytes_too(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe() as stalled:
        await publish(session, 30, "x" * 100_000)

        feed = stalled._feed  # pyright: ignore[reportPrivateUsage]
        assert feed.bytes <= MAX_BYTES
        kept = len(stalled._feed)  # pyright: ignore[reportPrivateUsage]
        assert 8 <= kept <= 9
        heard = await take(stalled, kept + 1)
        assert feed.bytes == 0

    assert heard[-1].type == "gap"
    assert heard[-1].data["missed"] == 30 - kept
    assert [event.seq for event in heard[:-1]] == list(range(3, 3 + kept))
    assert heard[-1].data["from"] == 3 + kept


async def test_with_a_place_to_begin_nothing_is_missed_whatever_did_not_fit(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe(after=0, max_buffer=20) as stalled:
        await publish(session, 30, "x" * 100_000)

        assert stalled._feed.bytes <= MAX_BYTES  # pyright: ignore[reportPrivateUsage]
        heard = await take(stalled, 32)

    assert [event.seq for event in heard] == list(range(1, 33))
    assert stalled.missed == 0


async def test_one_that_comes_back_reads_on_where_it_was(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe(max_buffer=5) as events:
        await publish(session, 20)
        heard = await take(events, 6)
    last = heard[-2].seq

    async with session.subscribe(after=last) as events:
        rest = await take(events, 15)

    assert [event.seq for event in heard[:-1]] + [event.seq for event in rest] == list(range(3, 23))


async def test_an_event_that_is_larger_than_the_bound_is_heard_by_whoever_keeps_up(client: Client) -> None:
    session = await client.create_session()
    content = "x" * (2 * MAX_BYTES)

    async with session.subscribe() as events:
        for _ in range(3):
            await session.send_message("user", content)
            [event] = await take(events, 1)
            assert event.data["content"] == content
        await session.send_message("user", content)
        await session.send_message("user", "small")

        heard = await take(events, 2)

    assert [event.type for event in heard] == ["conversation_added", "gap"]
