"""I03, I31: wherever a process dies in a turn, each effect is had at most once, and a person's word counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, ToolCall
from jidoka.core.entries import Entry
from jidoka.core.errors import JidokaError, TurnCancelled
from jidoka.core.messages import Context, Message
from jidoka.core.status import SessionStatus
from jidoka.core.tools import CallInfo
from jidoka.session import Session
from jidoka.testing.crash_points import Crash, every_crash_point
from jidoka.testing.wellformed import all_well_formed
from tests.proof.places import FAR, LONG, PLACES, MakeStore

MAIN = "session_main"
WAITING = SessionStatus.WAITING_INPUT

# What each question makes the model want, before it answers.
WANTS: dict[str, list[tuple[str, str]]] = {
    "two tools": [("note", "a"), ("note", "b")],
    "one that fails": [("note", "c"), ("burn", "d")],
    "launch": [("note", "e"), ("launch", "f"), ("note", "g")],
    "do not launch": [("launch", "h")],
}
STALLS = ("never", "rejected")
QUEUED = ("first", "second")


class Thinker:
    """A model that wants each tool until it has heard of an end, and forgets nothing that it was shown."""

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        place = max(place for place, message in enumerate(context.conversation) if message.role == "user")
        question, after = context.conversation[place].content, context.conversation[place + 1 :]
        known = self._known(after)
        missing = [want for want in WANTS.get(question, []) if want not in known]
        if question in STALLS:
            yield Chunk(text="half ")
            await anyio.sleep_forever()
        for number, (name, text) in enumerate(missing):
            yield Chunk(tool_call=ToolCall(id=f"call_{number}", name=name, arguments={"text": text}))
        if not missing:
            yield Chunk(text=f"answer to {question}")

    @staticmethod
    def _known(messages: Any) -> list[tuple[str, str]]:
        calls = {
            call["id"]: (call["name"], call["arguments"]["text"])
            for message in messages
            for call in message.metadata.get("tool_calls", ())
        }
        ends = [message.metadata for message in messages if message.role == "tool"]
        return [calls[end["call_id"]] for end in ends if end["outcome"] in ("ok", "error")]


class Proof:
    """The scenario, the world that its tools change, and what must be true after it died somewhere."""

    def __init__(self, policy: str, *, is_short: bool) -> None:
        self.policy = policy
        self.is_short = is_short
        self._forget()

    def _forget(self) -> None:
        self.keys: Counter[str] = Counter()
        self.effects: Counter[tuple[str, str]] = Counter()
        self.unannounced: list[CallInfo] = []

    # --- the tools -------------------------------------------------------------------------------

    async def note(self, text: str, info: CallInfo) -> str:
        self._have(text, info)
        return f"noted {text}"

    async def launch(self, text: str, info: CallInfo) -> str:
        self._have(text, info)
        return f"launched {text}"

    def burn(self, text: str) -> str:
        raise RuntimeError(f"{text} does not burn")

    def _have(self, text: str, info: CallInfo) -> None:
        if self.keys[info.key] and not info.is_repeat:
            self.unannounced.append(info)
        if not self.keys[info.key]:
            self.effects[info.turn_id, text] += 1
        self.keys[info.key] += 1

    # --- a life ----------------------------------------------------------------------------------

    async def scenario(self, client: Client, confirmed: list[Any]) -> None:
        self._forget()
        llm = {"model": "model", "tools": ["note", "launch", "burn"], "rules": {"needs_approval": ["launch"]}}
        config = {"when_busy": "queue", "interrupted_turn": self.policy}
        session = await client.create_session(session_id=MAIN, llm_config=llm, config=config)
        await self.ask(session, confirmed, "two tools")
        if not self.is_short:
            await self.ask(session, confirmed, "one that fails")
            await self.cancel(session, confirmed)
        async with anyio.create_task_group() as tasks:
            for question in QUEUED:
                tasks.start_soon(self.ask, session, confirmed, question)
        await self.decide(session, confirmed, "launch", "approve")
        if not self.is_short:
            await self.decide(session, confirmed, "do not launch", "reject")
            await self.reject(session, confirmed)

    @staticmethod
    async def ask(session: Session, confirmed: list[Any], question: str) -> None:
        answer = await session.prompt(question, idempotency_key=question)
        assert answer.content == f"answer to {question}"
        confirmed.append((question, answer))

    @staticmethod
    async def cancel(session: Session, confirmed: list[Any]) -> None:
        async with session.stream("never", idempotency_key="never") as turn:
            assert await anext(turn) == "half "
            await session.cancel_turn()
            with pytest.raises(TurnCancelled):
                await anext(turn)
        confirmed.append(("never", None))

    async def decide(self, session: Session, confirmed: list[Any], question: str, decision: str) -> None:
        async with session.subscribe(types=["session_halted"]) as halts, anyio.create_task_group() as tasks:
            tasks.start_soon(self.ask, session, confirmed, question)
            await anext(halts)
            confirmed.append(("halted", question))
            await session.approve(decision=decision, by="ada")

    @staticmethod
    async def reject(session: Session, confirmed: list[Any]) -> None:
        async with session.stream("rejected", idempotency_key="rejected") as turn:
            assert await anext(turn) == "half "
            await session.halt(reason="look")
            confirmed.append(("halted", "rejected"))
            await session.approve(decision="reject", by="ada")
            with pytest.raises(TurnCancelled):
                await anext(turn)
        confirmed.append(("rejected", None))

    # --- and what is left of it ------------------------------------------------------------------

    async def check(self, client: Client, crash: Crash) -> None:
        store = client.house.store
        before = (await all_well_formed(store)).get(MAIN, [])
        if not before:
            assert crash.confirmed == []
            return
        session = client.session(MAIN)
        await self.halts_are_kept(session, before, crash)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.approve_the_rest, session, len(before))
            await self.everything_goes_on(client, session, before)
            tasks.cancel_scope.cancel()
        for question, answer in crash.confirmed:
            if isinstance(answer, Message):
                assert await session.prompt(question, idempotency_key=question) == answer
        await self.nothing_is_done_twice(session)
        after = (await all_well_formed(store, at_rest=True))[MAIN]
        assert after[: len(before)] == before
        self.nothing_is_launched_that_nobody_has_approved(after)

    async def halts_are_kept(self, session: Session, before: list[Entry], crash: Crash) -> None:
        """Halted is halted until somebody has decided, however often it is looked at."""
        marks = [entry.type for entry in before if entry.type in ("session_halted", "decision_recorded")]
        is_halted = marks[-1:] == ["session_halted"]
        if crash.confirmed and crash.confirmed[-1][0] == "halted":
            assert is_halted or marks[-1] == "decision_recorded"
        if not is_halted:
            # A turn that goes on may halt by now.
            return
        effects = Counter(self.effects)
        await session.get_history()
        await anyio.wait_all_tasks_blocked()
        assert (await session.info()).status is WAITING
        assert self.effects == effects
        await session.approve(decision="approve", by="bob")

    @staticmethod
    async def approve_the_rest(session: Session, after: int) -> None:
        async with session.subscribe(after=after, types=["session_halted"]) as halts:
            async for _ in halts:
                await session.approve(decision="approve", by="bob")

    async def everything_goes_on(self, client: Client, session: Session, before: list[Entry]) -> None:
        """What was begun is asked for again; it has come to nothing only where that is the policy."""
        await session.get_history()
        # What stalls and is gone on with would hold up all others.
        while (head := await client.house.store.head(MAIN)) and head.turn in [
            f"turn_{question}" for question in STALLS
        ]:
            await session.cancel_turn()
            await anyio.lowlevel.checkpoint()
        for question in [entry.data["content"] for entry in before if entry.type == "turn_started"]:
            try:
                answer = await session.prompt(question, idempotency_key=question)
            except JidokaError:
                assert self.policy == "fail" or question in STALLS, question
            else:
                assert answer.content == f"answer to {question}"

    async def nothing_is_done_twice(self, session: Session) -> None:
        assert self.unannounced == []
        assert not [effect for effect, count in self.effects.items() if count > 1]
        history = [
            one for one in await session.get_history() if one.role != "tool" and "tool_calls" not in one.metadata
        ]
        questions = [one.content for one in history[::2]]
        assert [(one.role, one.content) for one in history] == [
            pair for question in questions for pair in (("user", question), ("assistant", f"answer to {question}"))
        ]
        assert len(set(questions)) == len(questions)
        for question in questions:
            done = Counter({text: 1 for name, text in WANTS.get(question, []) if name == "note"})
            if question == "launch":
                done["f"] = 1
            had = Counter({text: n for (turn, text), n in self.effects.items() if turn == f"turn_{question}"})
            # The one that is refused here is approved by whoever finds it waiting.
            assert had == done or had == done + Counter("h")

    @staticmethod
    def nothing_is_launched_that_nobody_has_approved(entries: list[Entry]) -> None:
        is_approved = False
        launches: set[tuple[str, str]] = set()
        for entry in entries:
            data = entry.data
            if entry.type == "turn_started":
                is_approved = False
            elif entry.type == "decision_recorded":
                is_approved = data["decision"] == "approve"
            elif entry.type == "tool_call" and data["name"] == "launch" and not is_approved:
                launches.add((data["turn_id"], data["call_id"]))
            elif entry.type == "tool_result" and (data["turn_id"], data["call_id"]) in launches:
                assert data["outcome"] == "error"


CASES = [
    (name, policy) for name in PLACES for policy in ("resume", "fail") if name not in FAR or LONG or policy == "resume"
]


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 240)
@pytest.mark.parametrize(
    ("make_store", "policy", "is_short"),
    [pytest.param(name, policy, name in FAR and not LONG, id=f"{name}-{policy}") for name, policy in CASES],
    indirect=["make_store"],
)
async def test_no_effect_is_had_twice_and_nobody_is_passed_over_wherever_the_process_dies(
    make_store: MakeStore, policy: str, is_short: bool
) -> None:
    proof = Proof(policy, is_short=is_short)

    crashes = await every_crash_point(
        proof.scenario,
        proof.check,
        make_store=make_store,
        make_models=lambda: {"model": Thinker()},
        tools=[proof.note, proof.launch, proof.burn],
    )

    assert len(crashes) > (30 if is_short else 60)
    assert [crash for crash in crashes if crash.call is None] == []
