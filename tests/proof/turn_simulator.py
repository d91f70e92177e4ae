"""The simulator's world with turns in it: models that use tools, ask, stall and break, and people who decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio.lowlevel

from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, Question, ToolCall
from jidoka.core.errors import JidokaError, SessionNotFound, SessionTerminated
from jidoka.core.messages import Context, Message
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.core.tools import CallInfo
from jidoka.session import Session
from jidoka.testing.faulty_store import FaultyStore
from jidoka.wiring import store_for
from tests.proof.places import MakeStore
from tests.proof.simulator import LIVELY, SESSIONS, Simulation

LLM: dict[str, Any] = {
    "model": "model",
    "tools": ["note", "launch", "burn"],
    "rules": {"needs_approval": ["launch"], "same_call_failures": 2, "repeats": 3},
}


class TurnSimulation(Simulation):
    """The same, and every third thing that is done has to do with a turn."""

    def __init__(self, seed: int, make_store: MakeStore) -> None:
        super().__init__(seed, make_store)
        self.is_calm = False
        self.working = 0
        # By session and turn: what was answered. By idempotency key: how often it was done.
        self.answered: dict[tuple[str, str], Message] = {}
        self.done: Counter[str] = Counter()
        self.unannounced: list[CallInfo] = []
        self.counts: Counter[str] = Counter()

    def _open(self, store: FaultyStore) -> Client:
        return Client(
            store,
            models={"model": self},
            tools=[self.note, self.launch, self.burn],
            settings=Settings(call_timeout=LIVELY),
            world=self.world,
        )

    # --- the model and its tools -----------------------------------------------------------------

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        yield Chunk(text="half ")
        dice = 1.0 if self.is_calm else self.chance.random()
        if dice < 0.1:
            raise RuntimeError("the model broke")
        if dice < 0.2:
            await self.world.sleep_until(self.world.monotonic() + 100)
        elif dice < 0.3:
            reply = yield Chunk(question=Question(text="shall I?"))
            self.counts["replies"] += 1
            assert reply is not None
        elif dice < 0.8 and context.tools:
            for number in range(self.chance.choice([1, 1, 2, 3])):
                name = self.chance.choice(["note", "note", "note", "launch", "burn"])
                arguments = {"text": self.chance.choice("ab")}
                yield Chunk(tool_call=ToolCall(id=f"call_{number}", name=name, arguments=arguments))
            return
        yield Chunk(text="and half")

    async def note(self, text: str, info: CallInfo) -> str:
        return await self._do(info)

    async def launch(self, text: str, info: CallInfo) -> str:
        return await self._do(info)

    async def burn(self, text: str) -> str:
        raise RuntimeError(f"{text} does not burn")

    async def _do(self, info: CallInfo) -> str:
        await self._pause(3)
        if self.done[info.key] and not info.is_repeat:
            self.unannounced.append(info)
        self.done[info.key] += 1
        self.counts["repeats"] += info.is_repeat
        await self._pause(6)
        return info.key

    # --- what is asked for -----------------------------------------------------------------------

    async def _one(self, session: Session, key: str) -> None:
        if self.chance.random() < 0.4:
            await super()._one(session, key)
            return
        work: list[Callable[[], Awaitable[Any]]] = [
            *[partial(self._prompt, session, key)] * 4,
            partial(self._stream, session, key),
            lambda: session.begin_turn(key, idempotency_key=key, timeout=self._patience()),
            session.cancel_turn,
            lambda: session.send_input("go on"),
            *[lambda: session.approve(decision=self.chance.choice(["approve", "reject"]))] * 3,
        ]
        try:
            await self.chance.choice(work)()
        except SessionNotFound:
            config = {
                "max_restarts": 1_000,
                "interrupted_turn": self.chance.choice(["fail", "resume"]),
                "when_busy": self.chance.choice(["refuse", "queue"]),
            }
            await self.client.create_session(session_id=session.id, llm_config=LLM, config=config)

    async def _work(self, session_id: str, life: int) -> None:
        self.working += 1
        try:
            await super()._work(session_id, life)
        finally:
            self.working -= 1

    async def _rage(self) -> None:
        await super()._rage()
        while self.working:
            # Somebody may wait for a person.
            await self.world.sleep_until(self.world.monotonic() + 20)
            with suppress(JidokaError):
                session = self.client.session(f"session_{self.chance.randrange(SESSIONS)}")
                await session.approve(decision=self.chance.choice(["approve", "reject"]))

    def _patience(self) -> float | None:
        return self.chance.choice([None, 50.0, 3_000.0])

    async def _prompt(self, session: Session, key: str) -> None:
        for _ in range(self.chance.randrange(1, 3)):
            with suppress(JidokaError):
                answer = await session.prompt(key, idempotency_key=key, timeout=self._patience())
                self.counts["answers"] += 1
                assert self.answered.setdefault((session.id, key), answer) == answer

    async def _stream(self, session: Session, key: str) -> None:
        async with session.stream(key, idempotency_key=key, timeout=self._patience()) as turn:
            async for _ in turn:
                if self.chance.random() < 0.3:
                    return

    def _forget(self, session_id: str) -> None:
        super()._forget(session_id)
        for where in [where for where in self.answered if where[0] == session_id]:
            del self.answered[where]

    # --- what must be true -----------------------------------------------------------------------

    async def _look(self) -> None:
        self.is_calm = True
        await super()._look()
        assert self.unannounced == []
        store = store_for(self.place)
        await store.open()
        try:
            for (session_id, key), answer in self.answered.items():
                entry = (await store.read(session_id))[answer.seq - 1]
                assert (entry.data["turn_id"], entry.data["content"]) == (f"turn_{key}", answer.content)
        finally:
            await store.close()

    async def _must_answer(self, session_id: str, waiting: list[str]) -> None:
        """No turn waits for a person then, and none that was gone on with is under way."""
        session = self.client.session(session_id)
        with suppress(SessionTerminated, SessionNotFound):
            while (head := await self.client.house.store.head(session_id)) and head.turn is not None:
                with suppress(JidokaError):
                    await session.get_history()
                    if head.status is SessionStatus.WAITING_INPUT:
                        await session.approve(decision="approve")
                    else:
                        await session.cancel_turn()
                await anyio.lowlevel.checkpoint()
        await super()._must_answer(session_id, waiting)
