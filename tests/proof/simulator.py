"""A small world in which everything goes wrong by chance, and always in the same way for the same seed.

Random work on a few sessions, random faults: killed actors, a store that errs before or after it has written, or takes
its time, a process that dies and is started again. Whoever is not answered asks again with the same key. At the end the
faults stop, and what must be true is looked at.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel

from jidoka.client import Client
from jidoka.core.errors import JidokaError, SessionNotFound, SessionTerminated, StoreUnavailable, TurnFailed
from jidoka.core.messages import Message
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.models import ScriptedModel
from jidoka.testing.wellformed import all_well_formed
from jidoka.testing.world import VirtualWorld
from jidoka.wiring import store_for
from tests.proof.places import MakeStore

SESSIONS, STEPS, LIVES = 3, 12, 3
# How long everybody may take to answer once nothing goes wrong any more.
LIVELY = 30.0
# Rounds of the loop in which most things come to rest: waiting until everything has is slow on asyncio.
ROUNDS = 120


def models() -> dict[str, ScriptedModel]:
    return {"model": ScriptedModel(*[["half ", "and half"], [RuntimeError("the model broke")]] * 500)}


@contextmanager
def same_order(seed: int) -> Iterator[None]:
    """On trio, which shuffles its tasks: by *seed*. A private way that trio has for this; asyncio has one order."""
    try:
        from trio._core import _run as trio_run  # pyright: ignore
    except ImportError:
        yield
        return
    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True
    trio_run._r.seed(seed)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before


class Simulation:
    """One run: *LIVES* processes on one store, each with all sessions' workers in it."""

    def __init__(self, seed: int, make_store: MakeStore) -> None:
        self.chance = random.Random(seed)
        self.world = VirtualWorld(seed)
        self.world.is_busy = lambda: self.store.is_busy
        # On every other one the store takes its time now and then: where it would never wait, it waits.
        self.is_slow = bool(seed % 2)
        self.place = make_store()
        self.client: Client
        self.store: FaultyStore
        # By session and key: what is to be said, and what was answered.
        self.asked: dict[tuple[str, str], str] = {}
        self.told: dict[tuple[str, str], Message] = {}
        self.seed = seed
        # What there was in the end: the types of all entries, by session.
        self.journals: dict[str, list[str]] = {}

    async def run(self) -> None:
        with same_order(self.seed):
            for life in range(LIVES):
                await self._live(life)
            await self._look()

    # --- a life ----------------------------------------------------------------------------------

    async def _live(self, life: int) -> None:
        self.store = FaultyStore(store_for(self.place), world=self.world if self.is_slow else None)
        async with anyio.create_task_group() as around:
            # Until the client is closed: it may have to wait for a store that takes its time.
            around.start_soon(self._pass_time)
            async with self._open(self.store) as self.client, anyio.create_task_group() as tasks:
                tasks.start_soon(self._die_with_the_store, tasks.cancel_scope)
                self.store.plan = self._fault
                async with anyio.create_task_group() as working:
                    for number in range(SESSIONS):
                        working.start_soon(self._work, f"session_{number}", life)
                    working.start_soon(self._rage)
                tasks.cancel_scope.cancel()
            around.cancel_scope.cancel()

    def _open(self, store: FaultyStore) -> Client:
        # A patience that no fault outlasts: an unanswered caller is found by the time it takes.
        settings = Settings(call_timeout=LIVELY)
        return Client(store, models=models(), settings=settings, world=self.world)

    def _fault(self, call: Call) -> Fault | None:
        dice = self.chance.random()
        if dice < 0.004 and call.number is not None:
            return Fault("stop", self.chance.choice(["before", "after"]))
        if dice < 0.05:
            return Fault("error", self.chance.choice(["before", "after"]))
        if self.is_slow and dice < 0.1:
            return Fault("delay", self.chance.choice(["before", "after"]), seconds=self.chance.choice([0.1, 1, 5, 40]))
        return None

    async def _die_with_the_store(self, scope: anyio.CancelScope) -> None:
        await self.store.stopped.wait()
        scope.cancel()

    async def _pass_time(self) -> None:
        while True:
            for _ in range(ROUNDS):
                await anyio.lowlevel.checkpoint()
            await self.world.advance(self.chance.choice([0.1, 1, 1, 30, 400, 2_000]))

    async def _rage(self) -> None:
        for _ in range(STEPS):
            await self._pause(6)
            await self._break(self.client.session(f"session_{self.chance.randrange(SESSIONS)}"))

    async def _break(self, session: Session) -> None:
        with suppress(JidokaError):
            match self.chance.randrange(5):
                case 0:
                    await kill_child(session, "context_manager")
                case 1:
                    await kill_child(session, "orchestrator")
                case 2:
                    await kill_supervisor(session)
                case 3:
                    await kill_manager(self.client)
                case _:
                    await session.suspend()

    async def _pause(self, most: int) -> None:
        for _ in range(self.chance.randrange(most)):
            await anyio.lowlevel.checkpoint()

    # --- what is asked for -----------------------------------------------------------------------

    async def _work(self, session_id: str, life: int) -> None:
        session = self.client.session(session_id)
        for step in range(STEPS):
            await self._pause(4)
            with suppress(JidokaError):
                await self._one(session, f"{life}-{step}")

    async def _one(self, session: Session, key: str) -> None:
        work: list[Callable[[], Awaitable[Any]]] = [
            lambda: self._say(session, key),
            lambda: self._say(session, key),
            lambda: session.prompt(key, idempotency_key=key),
            lambda: session.add_file(f"{key}.py"),
            lambda: session.put_context(key, key),
            lambda: session.update(metadata={key: True}),
            lambda: self._halt(session),
            session.fork,
            lambda: session.clear_history() if self.chance.random() < 0.2 else session.resume(),
            lambda: self._end(session) if self.chance.random() < 0.2 else session.info(),
        ]
        try:
            await self.chance.choice(work)()
        except SessionNotFound:
            await self.client.create_session(
                session_id=session.id, llm_config={"model": "model"}, config={"max_restarts": 1_000}
            )

    async def _say(self, session: Session, key: str) -> None:
        self.asked[session.id, key] = text = f"{session.id} {key}"
        for _ in range(self.chance.randrange(1, 4)):
            with suppress(StoreUnavailable):
                message = await session.send_message("user", text, idempotency_key=key)
                assert self.told.setdefault((session.id, key), message) == message

    @staticmethod
    async def _halt(session: Session) -> None:
        await session.halt(reason="look")
        await session.approve(decision="approve")

    async def _end(self, session: Session) -> None:
        is_purged = self.chance.random() < 0.5
        # From now on nothing is promised of what was said there.
        self._forget(session.id)
        await session.terminate(purge=is_purged)
        self._forget(session.id)

    def _forget(self, session_id: str) -> None:
        for kept in (self.asked, self.told):
            for where in [where for where in kept if where[0] == session_id]:
                del kept[where]  # pyright: ignore

    # --- what must be true -----------------------------------------------------------------------

    async def _look(self) -> None:
        self.store = FaultyStore(store_for(self.place))
        async with self._open(self.store) as self.client:
            await all_well_formed(self.client.house.store)
            async with anyio.create_task_group() as tasks:
                waiting = [info.session_id for info in await self._everyone()]
                for session_id in list(waiting):
                    tasks.start_soon(self._must_answer, session_id, waiting)
                for _ in range(10 * ROUNDS):
                    if waiting:
                        await anyio.lowlevel.checkpoint()
                if waiting:
                    await self.world.advance(LIVELY)
                assert waiting == [], f"{waiting} did not answer"
            journals = await all_well_formed(self.client.house.store, at_rest=True)
            self.journals = {name: [str(entry.type) for entry in journal] for name, journal in journals.items()}
            for (session_id, key), message in self.told.items():
                found = [(entry.seq, entry.data["content"]) for entry in journals[session_id] if entry.key == key]
                assert found == [(message.seq, message.content)]

    async def _everyone(self) -> list[Any]:
        return list(await self.client.list_sessions(status=list(SessionStatus), limit=1_000))  # pyright: ignore

    async def _must_answer(self, session_id: str, waiting: list[str]) -> None:
        session = self.client.session(session_id)
        try:
            for (owner, key), text in list(self.asked.items()):
                if owner == session_id:
                    message = await session.send_message("user", text, idempotency_key=key)
                    assert self.told.setdefault((session_id, key), message) == message
            # Out of a halt, too.
            await session.resume()
            with suppress(TurnFailed):
                await session.prompt("are you there?")
            await session.get_history()
        except (SessionTerminated, SessionNotFound):
            # Its end had begun, and was finished by whoever came next.
            assert not any(owner == session_id for owner, _ in self.told)
        except JidokaError as error:
            info = await session.info()
            assert info.status is SessionStatus.FAILED, error
            await session.resume()
            await session.send_message("user", "back")
        waiting.remove(session_id)
