"""The last words of a session, written when nobody of it is left."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.errors import Fenced
from jidoka.sessions.house import House
from jidoka.sessions.keeper import write_last_words
from jidoka.testing.entries import A, birth, head_of, message_entry, status_entry
from jidoka.testing.world import VirtualWorld

TERMINATED = ["session_status", "session_status", "session_terminated"]
FAILED = ["session_status", "session_failed"]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with Client(world=VirtualWorld()) as client:
        await client.house.store.append(A, birth(), expected_seq=0)
        yield client.house


async def said_last(house: House, after: int) -> list[str]:
    return [str(entry.type) for entry in await house.store.read(A, after=after)]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("active", None, TERMINATED),
        ("idle", None, TERMINATED),
        ("waiting_input", None, TERMINATED),
        ("suspended", None, TERMINATED),
        ("failed", None, TERMINATED),
        ("terminating", None, TERMINATED[1:]),
        ("terminated", None, []),
        ("active", "crashed", FAILED),
        ("idle", "crashed", FAILED),
        ("waiting_input", "crashed", FAILED),
        ("terminating", "crashed", FAILED),
        ("failed", "crashed", []),
        ("terminated", "crashed", []),
    ],
)
async def test_a_journal_is_closed_with_what_it_lacks(
    house: House, status: str, error: str | None, words: list[str]
) -> None:
    await house.store.append(A, [status_entry(3, status, "active")], expected_seq=2)

    for _ in range(3):
        await write_last_words(house, A, error=error, reason="enough")

    assert await said_last(house, 3) == words


@pytest.mark.parametrize("error", [None, "crashed"])
async def test_a_turn_that_is_open_is_closed_first(house: House, error: str | None) -> None:
    data: dict[str, Any] = {"turn_id": "turn_1", "content": "hello", "model": "echo"}
    await house.store.append(A, [Entry(3, "turn_started", house.world.now(), data, None, 1)], expected_seq=2)

    await write_last_words(house, A, error=error)

    assert (await said_last(house, 3))[0] == "turn_failed"
    assert (await head_of(house.store, A)).turn is None


async def test_whoever_wrote_before_can_write_nothing_after(house: House) -> None:
    await write_last_words(house, A, reason="enough")
    head = await head_of(house.store, A)

    with pytest.raises(Fenced):
        await house.store.append(A, [message_entry(head.seq + 1)], expected_seq=head.seq)


async def test_there_are_no_last_words_of_a_session_that_is_not_there(house: House) -> None:
    await write_last_words(house, "nobody_there", reason="enough")

    assert await house.store.head("nobody_there") is None
