"""Many sessions: a page of a list, deletion and the space that it returns, open files."""

from __future__ import annotations

import asyncio
from contextlib import closing
from time import perf_counter
from typing import Any

import apsw

from tests.bench.durable.backend import Backends, new_file, open_files, opened, session_ids
from tests.bench.durable.texts import messages
from tests.bench.measures import Figures, Pace, in_ms

SECONDS = 4.0
AT_ONCE = 4


async def list_pages(backends: Backends, sessions: int, pages: int) -> Figures:
    """A hundred of many sessions, page after page."""
    took: list[float] = []
    async with opened(backends(new_file())) as backend:
        await backend.fill({session_id: [] for session_id in session_ids(sessions)})
        cursor: Any = None
        for number in range(pages):
            began = perf_counter()
            found, cursor = await backend.page(number, cursor)
            took.append(perf_counter() - began)
            if found != 100:
                raise RuntimeError(f"page {number} has {found} sessions")
    return in_ms(took)


async def delete(backends: Backends, sessions: int, size: int) -> Figures:
    """Sessions of *size* messages, one after the other; half of them, so that pages are shared with who stays."""
    path, ids = new_file(), list(session_ids(2 * sessions))
    async with opened(backends(path)) as backend:
        await backend.fill({session_id: messages(size) for session_id in ids})
    before = pages_in_use(path)
    async with opened(backends(path)) as backend:
        victims = [await backend.find(session_id) for session_id in ids[::2]]
        pace = Pace(sessions, seconds=SECONDS)
        done = iter(victims)
        for count in pace:
            for _ in range(count):
                await backend.delete(next(done))
    share = pace.done / len(ids)
    return {"rate": pace.rate, "space": 100 * (1 - pages_in_use(path) / before) / share}


def pages_in_use(path: str) -> int:
    """How many pages of the database hold something."""
    with closing(apsw.Connection(path)) as db:
        return db.pragma("page_count") - db.pragma("freelist_count")


async def files(backends: Backends, sessions: int) -> Figures:
    """What is open because of sessions that are alive and have been used."""
    async with opened(backends(new_file())) as backend:
        await backend.add(await backend.create(next(iter(session_ids(1, seed=sessions)))), messages(1))
        before, alive, waiting = open_files(), [], iter(session_ids(sessions))

        async def make_some() -> None:
            for session_id in waiting:
                session = await backend.create(session_id)
                alive.append(session)
                await backend.add(session, messages(1))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(make_some())
        more = open_files() - before
    return {"each": more / len(alive), "all": before + more}
