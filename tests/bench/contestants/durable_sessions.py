"""What only jidoka has, on SQLite: a session that crashes, a history that is resident, a million that sleep."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

from jidoka.client import Client
from tests.bench.contestants.durable_jidoka import Sessions
from tests.bench.contestants.sessions import recovery
from tests.bench.durable.backend import WINDOW, new_file, opened, session_ids
from tests.bench.durable.million import million
from tests.bench.durable.texts import messages
from tests.bench.measures import Figures, Pace

SECONDS = 4.0


async def crash(sessions: int, crashes: int, messages: int) -> Figures:
    """From the message that crashes a context manager to the first answer, its history as the file has it."""
    return await recovery(sessions, crashes, messages, store=f"sqlite:///{new_file()}")


async def history(size: int, reads: int) -> Figures:
    """The newest messages of a long session: of one that is resident, and of one that has to be woken for it."""
    path, (session_id,) = new_file(), session_ids(1)
    async with opened(Sessions(path)) as backend:
        await backend.fill({session_id: messages(size)})
    async with Client(f"sqlite:///{path}") as client:
        session = client.session(session_id)
        resident = await _timed(session, reads)
        woken: list[float] = []
        for _ in Pace(max(1, reads // 100), slices=reads, seconds=SECONDS):
            await session.suspend()
            woken.append(await _timed(session, 1))
    return {"resident": resident, "woken": median(woken)}


async def _timed(session: Any, reads: int) -> float:
    took: list[float] = []
    for _ in Pace(reads, slices=reads, seconds=SECONDS):
        began = perf_counter()
        found = await session.get_history(limit=WINDOW)
        took.append(perf_counter() - began)
        if len(found) != WINDOW:
            raise RuntimeError(f"{len(found)} of {WINDOW} messages came back")
    return median(took) * 1e3


WORKS = {"durable_crash": crash, "durable_history": history, "million": million}
