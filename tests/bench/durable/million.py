"""A store full of sessions that sleep: what the process takes that opens it, and how soon any of them answers.

    python -m tests.bench.durable.million PATH SESSIONS

fills the store, in a process of its own: what that takes is nobody's memory afterwards.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

from jidoka.client import Client
from jidoka.core.entries import Entry
from jidoka.core.events import EventType
from jidoka.wiring import store_for
from tests.bench.contestants.durable_jidoka import BIRTH, WORLD, birth, said
from tests.bench.durable.backend import new_file, session_ids
from tests.bench.durable.texts import messages, texts
from tests.bench.measures import Figures, in_ms, resident

AT_ONCE = 1_000
SAID = 2
SUSPENDED = {"status": "suspended", "previous_status": "active"}
MIB = 1024 * 1024


async def fill(path: str, sessions: int) -> None:
    """So many sessions of two messages, each suspended."""
    store = store_for(f"sqlite:///{path}?durability=process")
    await store.open()
    waiting = iter(session_ids(sessions))
    while some := list(islice(waiting, AT_ONCE)):
        await asyncio.gather(*(store.append(session_id, list(asleep()), expected_seq=0) for session_id in some))
    await store.close()


def asleep() -> Iterator[Entry]:
    """The journal of a session that was used once and sleeps now."""
    yield from birth()
    yield from said(messages(SAID), BIRTH, 1)
    now, seq = WORLD.now(), BIRTH + SAID
    yield Entry(seq + 1, EventType.SESSION_STATUS, now, SUSPENDED, None, 1)
    yield Entry(seq + 2, EventType.SESSION_SUSPENDED, now, {}, None, 1)


async def million(sessions: int, woken: int) -> Figures:
    """Sessions from all over the store are sent their first message, one after the other."""
    path = new_file()
    began = perf_counter()
    command = [sys.executable, "-m", "tests.bench.durable.million", path, str(sessions)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    filled = perf_counter() - began
    chosen = list(session_ids(sessions))[:: max(1, sessions // woken)][:woken]
    content = texts()[0]
    async with Client(f"sqlite:///{path}") as client:
        page = await client.list_sessions(limit=100)
        if len(page) != min(100, sessions):
            raise RuntimeError(f"a page of {len(page)} sessions")
        asleep_mib = resident() / MIB
        took: list[float] = []
        for session_id in chosen:
            sent = perf_counter()
            await client.session(session_id).send_message("user", content)
            took.append(perf_counter() - sent)
        return {"mib": asleep_mib, "woken_mib": resident() / MIB, "filled": sessions / filled, **in_ms(took)}


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
