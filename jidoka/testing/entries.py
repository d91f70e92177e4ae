"""Entries to try a store with, and questions to ask it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from jidoka.core.entries import Entry
from jidoka.core.errors import JidokaError
from jidoka.core.events import EventType
from jidoka.core.heads import Head
from jidoka.ports.store import Store

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
A, B, C = "session_a", "session_b", "session_c"

EVERY_KIND_OF_JSON: dict[str, Any] = {
    "text": "Zürich, 東京 and 🦔",
    "control": "line\nbreak\ttab \x7f",
    "large": 2**63 + 1,
    "negative": -7,
    "fraction": 0.1,
    "yes": True,
    "no": False,
    "nothing": None,
    "empty": {"object": {}, "list": [], "text": ""},
    "nested": [{"a": [1, [2, [3]]]}],
}


def birth(*, owner: str | None = None, metadata: dict[str, Any] | None = None, key: str | None = None) -> list[Entry]:
    """What a session begins with: it is created, and becomes active."""
    data: dict[str, Any] = {"owner": owner, "metadata": metadata or {}, "llm_config": {}, "config": {}}
    created = Entry(1, EventType.SESSION_CREATED, NOON, data, key, 1)
    return [created, status_entry(2, "active", "initializing")]


def status_entry(seq: int, status: str, previous: str, *, epoch: int = 1) -> Entry:
    """The session's status changes."""
    data = {"status": status, "previous_status": previous}
    return Entry(seq, EventType.SESSION_STATUS, NOON + timedelta(seconds=seq), data, None, epoch)


def message_entry(seq: int, content: str = "hello", *, key: str | None = None, epoch: int = 1) -> Entry:
    """Somebody says something."""
    data: dict[str, Any] = {"id": f"message_{seq}", "role": "user", "content": content, "metadata": {}}
    return Entry(seq, EventType.CONVERSATION_ADDED, NOON + timedelta(seconds=seq), data, key, epoch)


def metadata_entry(seq: int, patch: dict[str, Any], version: int, *, epoch: int = 1) -> Entry:
    """The session's metadata changes."""
    data = {"part": "metadata", "patch": patch, "version": version}
    return Entry(seq, EventType.CONTEXT_UPDATED, NOON + timedelta(seconds=seq), data, None, epoch)


def messages_from(seq: int, count: int, *, epoch: int = 1) -> list[Entry]:
    """Several messages in a row."""
    return [message_entry(number, f"message {number}", epoch=epoch) for number in range(seq, seq + count)]


async def seqs(store: Store, session_id: str) -> list[int]:
    """The seqs of the whole journal."""
    return [entry.seq for entry in await store.read(session_id)]


async def head_of(store: Store, session_id: str) -> Head:
    """The head of a journal that is there."""
    head = await store.head(session_id)
    assert head is not None
    return head


async def visited(store: Store, *, limit: int, **filters: Any) -> list[str]:
    """The ids of all pages, one after the other."""
    found: list[str] = []
    after: int | None = None
    while True:
        page = await store.heads(after=after, limit=limit, **filters)
        assert len(page) <= limit
        found.extend(head.session_id for _, head in page)
        if len(page) < limit:
            return found
        after = page[-1][0]


async def attempts(store: Store, session_id: str, tries: Sequence[tuple[list[Entry], int]]) -> list[Head | JidokaError]:
    """Append all of *tries* at once, each (entries, expected_seq); what came of each."""
    results: list[Head | JidokaError] = []

    async def attempt(entries: list[Entry], expected_seq: int) -> None:
        try:
            results.append(await store.append(session_id, entries, expected_seq=expected_seq))
        except JidokaError as error:
            results.append(error)

    async with anyio.create_task_group() as tasks:
        for entries, expected_seq in tries:
            tasks.start_soon(attempt, entries, expected_seq)
    return results
