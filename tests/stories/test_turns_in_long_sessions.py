"""What a turn costs does not grow with what was said before it, and nothing of it stays behind."""

import gc

import anyio
import pytest

from jidoka.client import Client
from jidoka.core import timeline
from jidoka.core.tokens import estimated_tokens
from jidoka.session import Session
from jidoka.sessions.turn import Turn

LONG = 400
SMALL_WINDOW = {"max_tokens": 500, "threshold": 1.0}


async def long_session(client: Client, **context: object) -> Session:
    session = await client.create_session(llm_config={"model": "echo", "context": {**SMALL_WINDOW, **context}})
    for number in range(LONG):
        await session.send_message("assistant" if number % 2 else "user", f"an error, number {number} of many")
    return session


@pytest.mark.parametrize("policy", ["budget", "recent", "smart", "summarise"])
async def test_old_messages_are_searched_and_counted_once(
    client: Client, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []

    def counting(text: str) -> int:
        looked_at.append(text)
        return estimated_tokens(text)

    def finding(keywords: tuple[str, ...]) -> object:
        def is_critical(text: str) -> bool:
            looked_at.append(text)
            return any(keyword in text for keyword in keywords)

        return is_critical

    monkeypatch.setattr(client.house, "exact_counter", lambda _: counting)
    monkeypatch.setattr(timeline, "finder", finding)
    session = await long_session(client, policy=policy, counter="exact")

    await session.prompt("where are we?")
    first = len(looked_at)
    looked_at.clear()
    await session.prompt("and now?")

    assert first > LONG
    assert len(looked_at) < LONG / 4


def turns_in_memory() -> int:
    gc.collect()
    return sum(isinstance(one, Turn) for one in gc.get_objects())


async def test_a_turn_that_is_over_is_forgotten(client: Client) -> None:
    session = await client.create_session()
    before = turns_in_memory()

    for number in range(5):
        await session.prompt(f"question {number}")
    await anyio.wait_all_tasks_blocked()

    assert turns_in_memory() - before <= 1
