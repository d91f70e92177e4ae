"""One store and several processes, one after the other or at the same time. A process is a client of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.errors import CorruptRecord, JidokaError, StorageFull, StoreUnavailable
from jidoka.core.settings import Settings
from jidoka.session import Session
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for

BEFORE = [("user", "before")]
"""What was said in a session before its turn was interrupted."""

both_ends = pytest.mark.parametrize("crashes", [True, False], ids=["crash", "orderly"])


def _kept(store: Any) -> Callable[[], Any]:
    return lambda: store


def _at(url: str) -> Callable[[], Any]:
    return lambda: store_for(url)


# Given a test, what makes a store that a second process finds as the first has left it. A new one joins with one line.
REOPENABLE: dict[str, Callable[[pytest.FixtureRequest], Callable[[], Any]]] = {
    "memory": lambda _: _kept(MemoryStore()),
    "sqlite": lambda request: _at(f"sqlite:///{request.getfixturevalue('tmp_path')}/x.db"),
    "postgres": lambda request: _at(request.getfixturevalue("fresh_postgres")()),
}


class Line:
    """A process's way to its store: it can be cut, be slow, lose answers, be full, and find a session damaged."""

    def __init__(self, store: Any, *, waits: bool = False) -> None:
        self.store = store
        self.never_waits = store.never_waits and not waits
        self._waits = waits
        self.is_away = self.is_full = False
        # The next calls of these names take effect, and nobody is told.
        self.lost_answers: list[str] = []
        # So many appends from now on, the answer is lost.
        self.lost_appends: list[int] = []
        self.damaged: set[str] = set()
        self.calls: list[str] = []
        self._under_way = 0
        self._idle = anyio.Event()

    @property
    def known_damage(self) -> Any:
        return self.store.known_damage

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None:
        await self.store.close()

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name, getattr(self.store, name))

    async def _call(self, name: str, method: Any, *args: Any, **options: Any) -> Any:
        self.calls.append(name)
        self._under_way += 1
        try:
            return await self._answered(name, method, *args, **options)
        finally:
            self._under_way -= 1
            self._idle.set()
            self._idle = anyio.Event()

    async def wait_idle(self) -> None:
        """Wait until none of its calls is under way: other threads are not waited for by the event loop."""
        while self._under_way:
            await self._idle.wait()

    async def _answered(self, name: str, method: Any, *args: Any, **options: Any) -> Any:
        if self._waits:
            await anyio.lowlevel.checkpoint()
        if self.is_away:
            raise StoreUnavailable("the store is away")
        if self.is_full and name == "append":
            raise StorageFull("no space")
        if args and args[0] in self.damaged:
            raise CorruptRecord("bit 7 fell over", place="journal", session_id=args[0])
        answer = await method(*args, **options)
        if name == "append" and self.lost_appends:
            self.lost_appends = [number - 1 for number in self.lost_appends]
            if 0 in self.lost_appends:
                self.lost_appends.remove(0)
                self.lost_answers.append(name)
        if name in self.lost_answers:
            self.lost_answers.remove(name)
            raise StoreUnavailable("the answer was lost")
        return answer


class Machine:
    """Starts processes on one store."""

    def __init__(self, make: Callable[[], Any], world: VirtualWorld) -> None:
        self._make = make
        self.world = world
        self.line: Line

    async def at_rest(self) -> None:
        """Whatever the present process has set off has come to its end."""
        await at_rest(self.line)

    async def wait(self, *seconds: float) -> None:
        """Let time pass, and what that sets off come to its end, one after the other."""
        for some in seconds:
            await self.world.advance(some)
            await self.at_rest()

    @asynccontextmanager
    async def process(
        self, *, crashes: bool = False, is_away: bool = False, models: Any = None, **settings: Any
    ) -> AsyncIterator[Client]:
        """A client. One that crashes reaches its store no more, whatever it does on its way down."""
        line = self.line = Line(self._make())
        line.is_away = is_away
        chosen = Settings(**settings)
        async with Client(line, models=models, settings=chosen, world=self.world) as client:  # pyright: ignore
            try:
                yield client
            finally:
                line.is_away = crashes

    @asynccontextmanager
    async def interrupted(self, *, crashes: bool, piece: str = "half ", **config: Any) -> AsyncIterator[Session]:
        """A session in the middle of a turn, the process of which then ends."""
        model = ScriptedModel([piece, anyio.Event()])
        async with anyio.create_task_group() as tasks, self.process(crashes=crashes, models={"slow": model}) as client:
            session = await client.create_session(llm_config={"model": "slow"}, config=config)
            await session.send_message("user", "before")
            tasks.start_soon(ignoring_errors, partial(session.prompt, "question", idempotency_key="my-key-1"))
            await model.started.wait()
            yield session


async def ignoring_errors(call: Callable[[], Any]) -> None:
    with suppress(JidokaError):
        await call()


async def at_rest(*lines: Line) -> None:
    """Whatever was set off has come to its end: for some time nobody has asked a store for anything."""
    calls = -1
    while calls != (calls := sum(len(line.calls) for line in lines)):
        for _ in range(20):
            for line in lines:
                await line.wait_idle()
            await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
