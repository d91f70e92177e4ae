"""Stores for the command line to work on, made in this process, and ways to damage them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import apsw

from jidoka.adapters.sqlite_file import checked_vfs
from jidoka.cli.places import for_reading, opened
from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.ports.store import Store

IDS = ("session_a", "session_b", "session_c")


def fill(place: Path | str, ids: tuple[str, ...] = IDS, messages: int = 5, *, query: str = "") -> str:
    """A store with a session for each of *ids*, at a URL or in a SQLite file; its URL."""
    url = place if isinstance(place, str) else f"sqlite:///{place}{query}"

    async def work() -> None:
        async with Client(url) as client:
            for number, session_id in enumerate(ids):
                session = await client.create_session(
                    session_id=session_id, owner=f"owner-{number}", metadata={"number": number, "name": session_id}
                )
                for turn in range(messages):
                    await session.send_message("user", f"{session_id}/{turn}", idempotency_key=f"key-{turn}")

    anyio.run(work)
    return url


def change(path: Path, sql: str, *bindings: Any) -> None:
    """Change a store's file behind its back."""
    connection = apsw.Connection(str(path), vfs=checked_vfs())
    with connection:
        connection.execute(sql, bindings)
    connection.close()


def lose_entries(path: Path, session_id: str, first: int, last: int) -> None:
    """Delete entries of a journal."""
    session = "(select arrival from sessions where id = ?)"
    change(path, f"delete from entries where session = {session} and seq between ? and ?", session_id, first, last)


def look(place: Path | str, function: Callable[[Store], Awaitable[Any]]) -> Any:
    """What *function* finds in the store."""

    async def work() -> Any:
        async with opened(for_reading(str(place))) as store:
            return await function(store)

    return anyio.run(work)


async def everything(store: Store) -> list[tuple[Head, list[Entry]]]:
    """All heads, without their arrival numbers, with their journals: what a copy has to have."""
    found: list[tuple[Head, list[Entry]]] = []
    for _, head in await store.heads(limit=1_000):
        head.arrival = 0
        found.append((head, await store.read(head.session_id)))
    return found
