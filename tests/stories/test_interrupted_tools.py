"""A process that died between a tool call and its result leaves a history that can be gone on with."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.session import Session
from jidoka.testing.entries import NOON, A, birth
from jidoka.testing.wellformed import well_formed
from jidoka.testing.world import VirtualWorld


async def abandoned() -> MemoryStore:
    """A store with a session whose turn was calling three tools, and had heard of one."""
    lines: list[tuple[str, dict[str, Any]]] = [("turn_started", {"turn_id": "t", "content": "look", "model": "echo"})]
    lines += [("tool_call", {"turn_id": "t", "call_id": call, "name": "look", "arguments": {}}) for call in "abc"]
    lines += [("tool_result", {"turn_id": "t", "call_id": "b", "outcome": "ok", "content": "seen"})]
    store = MemoryStore()
    entries = [Entry(seq, type, NOON, data, None, 1) for seq, (type, data) in enumerate(lines, start=3)]
    await store.append(A, [*birth(), *entries], expected_seq=0)
    return store


WAYS: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "the next use": lambda session: session.get_history(),
    "a new turn": lambda session: session.prompt("again"),
    "its end": lambda session: session.terminate(),
}


@pytest.mark.parametrize("name", WAYS)
async def test_calls_that_nobody_will_answer_are_answered_and_the_turn_has_failed(name: str) -> None:
    store = await abandoned()
    async with Client(store, world=VirtualWorld()) as client:
        await WAYS[name](client.session(A))

        entries = await store.read(A)
        well_formed(entries, await store.head(A))
        results = [entry.data for entry in entries if entry.type == "tool_result"]
        assert [(data["call_id"], data["outcome"]) for data in results] == [
            ("b", "ok"),
            ("a", "interrupted"),
            ("c", "interrupted"),
        ]
        assert [entry.data["error"] for entry in entries if entry.type == "turn_failed"] == ["interrupted"]
