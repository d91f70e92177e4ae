"""I21: sessions that come and go, and messages to sessions that rest in between, leave nothing behind.

The long version, with JIDOKA_LONG=1: 100,000 lives, and 1,000,000 messages to 10,000 sessions. It prints its figures.
"""

import gc
import os
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import anyio
import pytest

from jidoka.adapters.sqlite import SQLiteStore
from jidoka.client import Client
from jidoka.core.settings import Settings
from jidoka.session import Session
from jidoka.testing.census import take_census
from jidoka.testing.faults import kill_child
from tests.stories.kit import purge_everything
from tests.stories.stores import STORES

IS_LONG = bool(os.environ.get("JIDOKA_LONG"))
LIVES = 100_000 if IS_LONG else 1_000
SESSIONS = 10_000 if IS_LONG else 100
MESSAGES = 1_000_000 if IS_LONG else 3_000
AT_ONCE = 50
VISIT = 10

pytestmark = pytest.mark.timeout(7200 if IS_LONG else 30)


def resident() -> float:
    """Megabytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Growth:
    """Memory after a warm-up, and after each tenth of the rest."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began = time.perf_counter()
        self.figures: list[float] = []

    def look(self) -> None:
        self.figures.append(resident())

    @property
    def slope(self) -> float:
        """Megabytes from the first half's least to the second half's least: what does not come back."""
        half = len(self.figures) // 2
        return min(self.figures[half:]) - min(self.figures[:half])

    def tell(self) -> None:
        seconds = time.perf_counter() - self.began
        figures = " ".join(f"{figure:.1f}" for figure in self.figures)
        print(f"\n{self.what}: {seconds:.0f} s, {self.slope:+.2f} MB; MB resident: {figures}")


async def live(client: Client, session_id: str, chance: random.Random) -> None:
    """Everything that a session does, and its end."""
    session = await client.create_session(session_id=session_id, metadata={"a": [1]})
    async with session.subscribe():
        await session.send_message("user", "hello", idempotency_key="mine")
        await session.prompt("echo")
        await session.put_context("plan", {"steps": [1]})
        await session.add_file("a.py")
    client.files.cache_file("a.py", "text", session_id=session_id)
    if chance.random() < 0.2:
        await session.suspend()
        await session.get_history()
    if chance.random() < 0.1:
        await kill_child(session, "context_manager")
    await session.terminate(purge=True)


async def at_once(times: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Do *work* for each number below *times*, by so many workers as there are."""
    numbers = iter(range(times))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(worker)


@pytest.mark.parametrize("name", STORES)
async def test_lives_leave_nothing_behind(name: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    # A store that waits for its disk takes its time.
    lives = LIVES if name == "memory" else LIVES // (5 if IS_LONG else 4)
    growth = Growth(f"{lives} lives in {name}")
    async with Client(STORES[name](tmp_path)) as client:
        # The same ids again and again: what a store keeps of an id that was purged is its promise, and no leak.
        async def one(number: int) -> None:
            await live(client, f"session_{number % 500}", chance)

        await at_once(lives // 5, one)
        await anyio.wait_all_tasks_blocked()
        before = take_census(client)
        for _ in range(8):
            await at_once(lives // 10, one)
            growth.look()
        await anyio.wait_all_tasks_blocked()

        assert take_census(client).differences(before) == {}
        assert len(client.house.crashes) == 0
    growth.tell()
    assert growth.slope <= 2.0


async def visit(session: Session, number: int) -> None:
    """A few messages to a session that rests before and after."""
    for part in range(VISIT):
        await session.send_message("user", f"message {number} {part}")
    await session.suspend()


async def test_messages_to_sessions_that_rest_cost_no_memory(tmp_path: Path) -> None:
    growth = Growth(f"{MESSAGES} messages to {SESSIONS} sessions")
    store = SQLiteStore(tmp_path / "jidoka.db", durability="process")
    async with Client(store, settings=Settings(call_timeout=60.0)) as client:
        sessions = [await client.create_session() for _ in range(SESSIONS)]
        for session in sessions:
            await session.suspend()

        turns = count()

        async def one(_: int) -> None:
            # No two workers at the same session.
            number = next(turns)
            await visit(sessions[number % SESSIONS], number)

        visits = MESSAGES // VISIT
        await at_once(visits // 5, one)
        await anyio.wait_all_tasks_blocked()
        before = take_census(client)
        for _ in range(8):
            await at_once(visits // 10, one)
            growth.look()
        await anyio.wait_all_tasks_blocked()

        assert take_census(client).differences(before) == {}
        assert before.registry_rows == 0
        infos = [await session.info() for session in random.Random(1).sample(sessions, 50)]
        assert {str(info.status) for info in infos} == {"suspended"}
        assert min(info.message_count for info in infos) >= VISIT
        if not IS_LONG:
            await purge_everything(client)
    growth.tell()
    assert growth.slope <= 2.0
