"""The process that is killed when it has filled a store: many sessions, each with a journal that can be told again."""

from __future__ import annotations

import random
from hashlib import sha256

import anyio

from jidoka.adapters.sqlite import SQLiteStore
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.events import EventType
from jidoka.core.state import SessionState
from jidoka.testing.entries import NOON, birth
from tests.proof.places import LONG

SESSIONS = 10_000 if LONG else 400
ENTRIES = 100 if LONG else 40


def session_id(number: int) -> str:
    return f"session_{number:05}"


def journal(number: int) -> list[Entry]:
    """What session *number* has been through. Its last entry is written through a client, just before the end."""
    dice = random.Random(number)
    entries = birth(owner=f"owner {number % 7}", metadata={"number": number})
    for seq in range(3, ENTRIES):
        content = " ".join(dice.choices(("stop", "the", "line", "a", "person", "looks"), k=dice.randint(5, 40)))
        data = {"id": f"message_{dice.getrandbits(128):032x}", "role": "user", "content": content, "metadata": {}}
        entries.append(Entry(seq, EventType.CONVERSATION_ADDED, NOON, data, f"key {seq}", 1))
    return entries


def hash_of(entries: list[Entry]) -> str:
    """Of the state: what the entries add up to, and of nothing that differs from run to run."""
    state = SessionState.of("any_session", entries)
    said = [(message.id, message.seq, message.role, message.content) for message in state.messages]
    return sha256(repr((state.seq, state.owner, state.metadata, state.message_count, said)).encode()).hexdigest()


def fill(path: str, ready: str) -> None:
    """Fills *path*, says so in *ready*, and never returns."""

    async def main() -> None:
        store = SQLiteStore(path, durability="process")
        await store.open()
        for number in range(SESSIONS):
            await store.append(session_id(number), journal(number), expected_seq=0)
        await store.close()
        async with Client(f"sqlite:///{path}") as client:
            for number in range(0, SESSIONS, 100):
                await client.session(session_id(number)).send_message("user", "the last word", idempotency_key="last")
            await anyio.Path(ready).write_text("ready")
            await anyio.sleep_forever()

    anyio.run(main)
