"""Plays dialogues as turns: each question is asked, with new keys, until the recorded answer is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio

from jidoka.actors.errors import CallTimeout
from jidoka.cli.trouble import MODEL, Actors, Scene, Trouble, Workshop
from jidoka.core.errors import JidokaError, TurnCancelled, TurnFailed, TurnInProgress
from jidoka.core.events import EventType
from jidoka.core.state import SessionState
from jidoka.core.wellformed import flaws_of

if TYPE_CHECKING:
    from jidoka.cli.casting import Part
    from jidoka.cli.report import Report
    from jidoka.client import Client
    from jidoka.core.entries import Entry
    from jidoka.core.messages import Message
    from jidoka.session import Session

# A model that stalls is given so long.
STALLED_FOR: Final = 0.05
_ENDS: Final = (EventType.TURN_COMPLETED, EventType.TURN_FAILED, EventType.TURN_CANCELLED)
_SORTS: Final = tuple(trouble for trouble in Trouble if trouble is not Trouble.NONE)


@dataclass(slots=True)
class Turning:
    """How a replay's dialogues are played as turns."""

    parts: Sequence[Part]
    report: Report
    chaos: float = 0.0
    """The chance that a turn goes wrong."""
    has_tools: bool = False
    scenes: dict[str, Scene] = field(default_factory=dict[str, Scene])
    workshop: Workshop = field(init=False)

    def __post_init__(self) -> None:
        self.workshop = Workshop(self.scenes, self.report)

    def options(self) -> dict[str, Any]:
        """What the client has besides its store."""
        model = Actors(self.scenes, self.report, has_tools=self.has_tools)
        return {"models": {MODEL: model}, "tools": self.workshop.tools if self.has_tools else ()}

    def birth(self, part: Part) -> dict[str, Any]:
        """What a session is created with. Half of them go on with a turn whose orchestrator was killed."""
        born = part.birth()
        llm: dict[str, Any] = {"model": MODEL, "rules": False}
        if self.has_tools:
            llm["tools"] = [tool.__name__ for tool in self.workshop.tools]
        interrupted = "resume" if part.number % 2 else "fail"
        return {**born, "llm_config": llm, "config": {**born["config"], "interrupted_turn": interrupted}}

    async def look_up(self, client: Client) -> None:
        """How far the parts are that were there already."""
        for part in self.parts:
            if part.is_there:
                entries = await client.house.store.read(part.session_id)
                part.said = len(without_tools(SessionState.of(part.session_id, entries).messages))

    async def play(self, client: Client, scene: Scene) -> None:
        """All that is left of a dialogue. A question with its answer is a turn; whatever else there is, a message."""
        part, session = scene.part, client.session(scene.part.session_id)
        self.scenes[part.session_id] = scene
        number = part.said
        while number < len(part.turns):
            roles = [role for role, _ in part.turns[number : number + 2]]
            if roles == ["user", "assistant"]:
                await self._ask(client, session, scene, number)
                self.report.sent += 2
                number += 2
            else:
                role, text = part.turns[number]
                await session.send_message(role, text, idempotency_key=part.key(number))
                self.report.sent += 1
                number += 1
            await scene.killer.strike()

    async def _ask(self, client: Client, session: Session, scene: Scene, number: int) -> None:
        question, attempt = scene.part.turns[number][1], 0
        self.report.turns += 1
        while True:
            scene.trouble = scene.dice.choice(_SORTS) if scene.dice.random() < self.chaos else Trouble.NONE
            scene.stalled = anyio.Event()
            _one_more(self.report.trouble, scene.trouble)
            key = f"{scene.part.key(number)}/{attempt}"
            while True:
                self.report.asked += 1
                if await self._answer(session, scene, question, key) is not None:
                    return
                # Nothing is asked anew of which it is not known that it has come to nothing.
                end = await _end_of(client, session, f"turn_{key}")
                if end in (EventType.TURN_FAILED, EventType.TURN_CANCELLED):
                    break
            attempt += 1

    async def _answer(self, session: Session, scene: Scene, question: str, key: str) -> Message | None:
        answers: list[Message] = []
        failures: list[JidokaError] = []
        timeout = STALLED_FOR if scene.trouble is Trouble.STALLS else None

        async def ask() -> None:
            try:
                answers.append(await self._in_some_way(session, scene, question, key, timeout))
            except (TurnFailed, TurnCancelled, TurnInProgress, CallTimeout) as ended:
                _one_more(self.report.ends, type(ended).__name__)
            except JidokaError as error:
                failures.append(error)
            everything.cancel_scope.cancel()

        async with anyio.create_task_group() as everything:
            everything.start_soon(ask)
            if scene.trouble is Trouble.IS_LEFT:
                while True:
                    await scene.stalled.wait()
                    scene.stalled = anyio.Event()
                    await session.cancel_turn()
        if failures:
            raise failures[0]
        return answers[0] if answers else None

    async def _in_some_way(
        self, session: Session, scene: Scene, question: str, key: str, timeout: float | None
    ) -> Message:
        """By waiting for the answer, by streaming it, or by coming back for it."""
        way = scene.dice.randrange(4)
        if way == 0:
            async with session.stream(question, idempotency_key=key, timeout=timeout) as turn:
                await turn.text()
                assert turn.message is not None
                return turn.message
        if way == 1:
            await session.begin_turn(question, idempotency_key=key, timeout=timeout)
        return await session.prompt(question, idempotency_key=key, timeout=timeout)

    # --- afterwards ------------------------------------------------------------------------------------------

    def look_at(self, entries: Sequence[Entry]) -> None:
        """Count what is wrong with a journal: its form, and results of which the tool knows nothing."""
        flaws = flaws_of(entries)
        begun = [entry for entry in entries if entry.type == EventType.TURN_STARTED and not entry.data.get("attempt")]
        ended = [entry for entry in entries if entry.type in _ENDS]
        if flaws or len(begun) != len(ended):
            self.report.malformed += 1
            self.report.errors += flaws or ["a turn has no end"]
        calls = [entry.data for entry in entries if entry.type == EventType.TOOL_CALL]
        notes = {(call["turn_id"], call["call_id"]) for call in calls if call["name"] == "note"}
        self.report.tool_calls += len(calls)
        for data in [entry.data for entry in entries if entry.type == EventType.TOOL_RESULT]:
            if data["outcome"] == "ok" and (data["turn_id"], data["call_id"]) in notes and not self.report.resumed:
                self.report.unfounded += data["content"] not in self.workshop.done


def without_tools(messages: Iterable[Message]) -> list[Message]:
    """What was said, and not what was done for it."""
    return [message for message in messages if message.role != "tool" and "tool_calls" not in message.metadata]


async def _end_of(client: Client, session: Session, turn_id: str) -> str | None:
    for entry in reversed(await client.house.store.read(session.id)):
        if entry.type in _ENDS and entry.data["turn_id"] == turn_id:
            return entry.type
    return None


def _one_more(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
