"""What the tests of the PostgreSQL store share."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread

from jidoka.adapters.postgres import PostgresStore
from jidoka.core.entries import Entry
from jidoka.core.errors import DuplicateKey, Fenced, StaleSequence, StoreUnavailable
from jidoka.testing.entries import A, head_of, message_entry
from tests.servers.process import wait_until

# Of the stores that are to notice faults. Far less than the default, so that the tests need not wait as long.
LIMIT = 1.0
# How long a loaded machine may take to notice what time it is.
SLACK = 1.0
HEALED_WITHIN = 5.0
CONNECTIONS = 3


@asynccontextmanager
async def opened(dsn: str, **options: Any) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(dsn, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def our_threads() -> int:
    return sum(thread.name.startswith("jidoka postgres") for thread in threading.enumerate())


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for something outside this process."""
    await anyio.to_thread.run_sync(wait_until, condition, what)


async def until_answered(call: Callable[[], Awaitable[Any]]) -> Any:
    """Its answer, however often the store has to be asked."""
    while True:
        try:
            return await call()
        except StoreUnavailable:
            # Some say so at once.
            await anyio.sleep(0.02)


async def settled(store: PostgresStore, key: str, content: str, session_id: str = A) -> Entry:
    """The entry with that key, once it is certain that there is one."""
    while True:
        found = await until_answered(lambda: store.entry_with(session_id, key))
        if found is not None:
            return found
        try:
            head = await until_answered(lambda: head_of(store, session_id))
            entry = message_entry(head.seq + 1, content, key=key, epoch=head.epoch)
            await store.append(session_id, [entry], expected_seq=head.seq)
            return entry
        except DuplicateKey as there:
            return there.entry
        except (Fenced, StaleSequence, StoreUnavailable):
            # What was under way has arrived meanwhile, or it is not known what became of this.
            continue
