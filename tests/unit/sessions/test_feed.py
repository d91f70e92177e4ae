"""The text of a turn on its way, and the stream that reads it."""

from typing import Any

import anyio
import pytest

from jidoka.core.errors import TurnCancelled
from jidoka.sessions.feed import Feed
from jidoka.sessions.stream import TurnStream


class Silent:
    """An orchestrator's ref that writes down what it is told."""

    def __init__(self, *, is_alive: bool = True) -> None:
        self.told: list[Any] = []
        self._is_alive = is_alive

    def is_alive(self) -> bool:
        return self._is_alive

    def tell(self, message: Any) -> None:
        self.told.append(message)


async def test_pieces_come_in_order_then_the_end() -> None:
    feed = Feed()
    for piece in "abc":
        feed.push(piece)
    feed.end(None, None)

    assert [await feed.next() for _ in range(5)] == ["a", "b", "c", None, None]


async def test_only_the_first_end_counts() -> None:
    feed = Feed()
    error = TurnCancelled()

    feed.end(None, error)
    feed.end(None, None)

    assert (feed.is_over, feed.error) == (True, error)


async def test_a_reader_waits_for_what_is_not_said_yet() -> None:
    feed, heard = Feed(), list[str | None]()

    async def read() -> None:
        while (piece := await feed.next()) is not None:
            heard.append(piece)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        for piece in "abc":
            await anyio.wait_all_tasks_blocked()
            feed.push(piece)
        await anyio.wait_all_tasks_blocked()
        assert heard == ["a", "b", "c"]
        feed.end(None, None)


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    feed = Feed()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.next)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    feed.push("a")

    assert await feed.next() == "a"


async def test_a_stream_raises_what_ended_its_turn_after_the_text() -> None:
    feed = Feed()
    stream = TurnStream("turn_1", feed, Silent())  # type: ignore[arg-type]
    feed.push("a")
    feed.end(None, TurnCancelled())

    assert await anext(stream) == "a"
    with pytest.raises(TurnCancelled):
        await anext(stream)


async def test_closing_a_stream_cancels_its_turn_and_waits_for_the_end() -> None:
    feed, orchestrator = Feed(), Silent()
    stream = TurnStream("turn_1", feed, orchestrator)  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.close)
        await anyio.wait_all_tasks_blocked()
        assert [message.feed for message in orchestrator.told] == [feed]
        feed.end(None, TurnCancelled())

    await stream.close()
    assert len(orchestrator.told) == 1


async def test_closing_a_stream_of_a_turn_that_is_over_cancels_nothing() -> None:
    feed, orchestrator = Feed(), Silent()
    feed.end(None, None)

    await TurnStream("turn_1", feed, orchestrator).close()  # type: ignore[arg-type]

    assert orchestrator.told == []
