"""I12 and I30: whoever asks at once, and whoever leaves at any point, the history is one of whole turns."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, ToolCall
from jidoka.core.entries import Entry
from jidoka.core.errors import TurnInProgress
from jidoka.core.messages import Context, Message
from jidoka.core.tools import CallInfo
from jidoka.session import Session
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.wellformed import all_well_formed
from jidoka.testing.world import VirtualWorld
from tests.proof.places import LONG, PLACES, MakeStore

WORDS = [f"word {number} " for number in range(5)]
AT_ONCE = 50
# On each store and event loop: so many clients leave, 1,000 in all.
LEAVING = 10_000 if LONG else 250


@pytest.fixture(params=[name for name in PLACES if LONG or name != "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    with PLACES[request.param](request) as make:
        yield make


class Talker:
    """A model that uses a tool first, and says its answer word by word."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        question = next(message.content for message in reversed(context.conversation) if message.role == "user")
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if context.conversation[-1].role == "user":
                yield Chunk(tool_call=ToolCall(id="look", name="look", arguments={"what": question}))
                return
            for word in WORDS:
                await anyio.lowlevel.checkpoint()
                yield Chunk(text=word)
            yield Chunk(text=question)
        finally:
            self.under_way -= 1


class Looker:
    """A tool that counts the calls that are under way."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.under_way = 0

    async def look(self, what: str, info: CallInfo) -> str:
        self.under_way += 1
        try:
            await anyio.lowlevel.checkpoint()
            self.seen.append(what)
            return f"seen {what}"
        finally:
            self.under_way -= 1


LLM: dict[str, Any] = {"model": "talker", "tools": ["look"], "rules": False}


def is_whole(history: list[Message]) -> list[str]:
    """The questions of a history that is one whole turn after the other."""
    assert [message.role for message in history] == ["user", "assistant", "tool", "assistant"] * (len(history) // 4)
    questions: list[str] = []
    for place in range(0, len(history), 4):
        question, used, found, answer = history[place : place + 4]
        assert len({message.metadata["turn_id"] for message in (question, used, found, answer)}) == 1
        assert found.content == f"seen {question.content}"
        assert answer.content == "".join(WORDS) + question.content
        questions.append(question.content)
    return questions


@pytest.mark.parametrize("when_busy", ["queue", "refuse"])
async def test_turns_that_are_asked_for_at_once_are_whole_and_one_after_the_other(
    place: MakeStore, when_busy: str
) -> None:
    model, tool = Talker(), Looker()
    async with Client(place(), models={"talker": model}, tools=[tool.look], world=VirtualWorld()) as client:
        session = await client.create_session(llm_config=LLM, config={"when_busy": when_busy})
        outcomes: dict[str, Any] = {}

        async def ask(question: str) -> None:
            try:
                outcomes[question] = (await session.prompt(question)).content
            except TurnInProgress as refused:
                outcomes[question] = refused

        async with anyio.create_task_group() as everybody:
            for number in range(AT_ONCE):
                everybody.start_soon(ask, f"question {number}")

        answered = [question for question, outcome in outcomes.items() if isinstance(outcome, str)]
        assert len(outcomes) == AT_ONCE
        assert sorted(is_whole(await session.get_history())) == sorted(answered)
        assert sorted(tool.seen) == sorted(answered)
        assert len(answered) == AT_ONCE if when_busy == "queue" else len(answered) >= 1
        assert model.most == 1
        entries = (await all_well_formed(client.house.store, at_rest=True))[session.id]
        turns = [entry.data["turn_id"] for entry in entries if "turn_id" in entry.data]
        # Nothing of a turn stands between what belongs to another.
        assert len([turn for turn, after in pairwise([*turns, ""]) if turn != after]) == len(answered)


# --- whoever leaves --------------------------------------------------------------------------------


class Leaving:
    """Clients that go away, each at a point of its own."""

    def __init__(self, client: Client, session: Session, dice: random.Random) -> None:
        self.client = client
        self.session = session
        self.dice = dice
        # What they were told, by question.
        self.told: dict[str, str] = {}
        self.begun: dict[str, str] = {}

    async def leave(self, question: str) -> None:
        way = self.dice.choice([self.prompt, self.stream, self.stream, self.begin])
        steps = self.dice.randrange(1, 60)
        async with anyio.create_task_group() as client:
            client.start_soon(way, question)
            client.start_soon(self._go, client.cancel_scope, steps)

    async def _go(self, scope: anyio.CancelScope, steps: int) -> None:
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
            if self.dice.random() < 0.2 and not self.client.house.store.never_waits:
                # A store with a thread of its own takes real time.
                await anyio.sleep(0.0005)
        scope.cancel()

    async def prompt(self, question: str) -> None:
        with suppress(TurnInProgress):
            self.told[question] = (await self.session.prompt(question)).content

    async def begin(self, question: str) -> None:
        with suppress(TurnInProgress):
            self.begun[question] = await self.session.begin_turn(question)

    async def stream(self, question: str) -> None:
        leaves_after = self.dice.randrange(8)
        with suppress(TurnInProgress):
            async with self.session.stream(question) as turn:
                async for _ in turn:
                    leaves_after -= 1
                    if leaves_after == 0:
                        return
                assert turn.message is not None
                self.told[question] = turn.message.content


async def at_rest(client: Client, session: Session) -> None:
    with anyio.fail_after(20):
        while (head := await client.house.store.head(session.id)) and head.turn is not None:
            await anyio.lowlevel.checkpoint()


def ends_of(entries: list[Entry]) -> dict[str, Entry]:
    ends = ("turn_completed", "turn_failed", "turn_cancelled")
    return {entry.data["turn_id"]: entry for entry in entries if entry.type in ends}


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize("when_busy", ["queue", "refuse"])
async def test_whoever_leaves_in_mid_turn_leaves_it_complete_or_cancelled(
    place: MakeStore, when_busy: str, anyio_backend_name: str
) -> None:
    model, tool = Talker(), Looker()
    dice = random.Random(f"{when_busy} {anyio_backend_name}")
    async with (
        Client(place(), models={"talker": model}, tools=[tool.look], world=VirtualWorld()) as client,
        nothing_left_behind(client),
    ):
        session = await client.create_session(llm_config=LLM, config={"when_busy": when_busy})
        leaving = Leaving(client, session, dice)
        for number in range(LEAVING // 2):
            await leaving.leave(f"question {number}")
            if dice.random() < 0.3:
                # Otherwise the next one comes while the last one's turn may be under way.
                await at_rest(client, session)
        # Who waits behind all of them is the last.
        last = await until_answered(session, "last")

        entries = (await all_well_formed(client.house.store, at_rest=True))[session.id]
        history = await session.get_history()
        answered = is_whole(history)
        ends = ends_of(entries)
        begun = {entry.data["turn_id"]: entry.data["content"] for entry in entries if entry.type == "turn_started"}
        assert {end.type for end in ends.values()} == {"turn_completed", "turn_cancelled"}
        assert begun.keys() == ends.keys()
        assert answered == [begun[turn] for turn, end in ends.items() if end.type == "turn_completed"]
        # Of what was acknowledged nothing is missing.
        assert set(leaving.told) <= set(answered)
        assert set(leaving.begun.values()) <= begun.keys()
        assert all(ends[turn].type == "turn_completed" for turn in leaving.begun.values())
        for turn, end in ends.items():
            if end.type == "turn_cancelled":
                assert ("".join(WORDS) + begun[turn]).startswith(end.data.get("text", ""))
        assert any(end.data.get("text") for end in ends.values() if end.type == "turn_cancelled")
        assert (model.under_way, tool.under_way) == (0, 0)
        assert history[-1] == last
        await session.terminate(purge=True)


async def until_answered(session: Session, question: str) -> Message:
    while True:
        try:
            return await session.prompt(question, idempotency_key=question)
        except TurnInProgress:
            await anyio.lowlevel.checkpoint()
