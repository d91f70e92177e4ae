"""An open turn: what its entries say of it so far, and what a person has said to it. It never changes; it is replaced.

Whoever runs a turn may crash at any point: the next one reads here where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from jidoka.core.chunks import ToolCall, Usage
from jidoka.core.dialogue import INTERRUPTED
from jidoka.core.entries import Entry
from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY, freeze, frozen
from jidoka.core.messages import Message, Role
from jidoka.core.records import trusted
from jidoka.core.rules import CallRecord, canonical

BY_CALLS: Final = frozenset({"call_keeps_failing", "no_progress", "error_burst"})
"""The reasons to halt that are about the calls so far."""

_MESSAGE_FIELDS = frozenset(Message.model_fields)

Place = tuple[int, int, int]
"""Of a call in its turn: the attempt, the round of that turn, the number in the round."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a tool that was begun. `outcome` is None until it has come to its end."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    place: Place
    outcome: str | None = None
    content: str = ""

    @property
    def told(self) -> str:
        """What the model hears of its end."""
        return INTERRUPTED if self.outcome in {None, "interrupted"} else self.content

    @property
    def record(self) -> CallRecord:
        """As the rules see it."""
        outcome = "ok" if self.outcome == "ok" else "failed"
        return CallRecord(self.id, self.name, canonical(self.arguments), outcome, self.told)


@dataclass(frozen=True, slots=True)
class Halted:
    """Why the line was stopped for a turn, and the calls that it was about to make."""

    reason: str
    evidence: Mapping[str, Any] = EMPTY
    text: str = ""
    pending: tuple[ToolCall, ...] = ()
    place: Place = (1, 1, 0)
    """Of the first of them."""
    asks: bool = False
    """Whether the model itself has asked."""
    usage: Mapping[str, Any] = EMPTY
    """What the model used to say the calls, where none of them was made before."""

    @property
    def takes_no(self) -> bool:
        """Whether a person's no is an answer, after which the turn goes on."""
        return self.asks or self.reason == "needs_approval"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person has said last, and where it stands in the journal."""

    seq: int
    is_approved: bool
    text: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """What a turn has done so far."""

    id: str
    content: str
    model: str
    attempt: int = 1
    deadline: datetime | None = None
    calls: tuple[Called, ...] = ()
    texts: Mapping[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    """What the model said before its calls, by attempt and round."""
    usage: Usage = Usage()
    halted: Halted | None = None
    approved_calls: frozenset[str] = frozenset()
    refused: Mapping[str, str] = EMPTY
    """The calls that a person has refused, and what they said."""
    forgiven: int = 0
    approved_budgets: frozenset[str] = frozenset()
    decided: Decided | None = None
    is_called_off: bool = False
    """A person has rejected it: whoever runs it ends it, and nobody goes on with it."""

    # --- the fold --------------------------------------------------------------------------------

    @classmethod
    def begun(cls, data: Mapping[str, Any], before: OpenTurn | None) -> OpenTurn:
        """What a `turn_started` says. A turn that is begun again goes on where it was."""
        if before is not None and before.id == data["turn_id"]:
            return replace(before, attempt=data.get("attempt", before.attempt + 1))
        until = data.get("deadline")
        deadline = None if until is None else datetime.fromisoformat(until)
        return cls(data["turn_id"], data["content"], data.get("model", ""), data.get("attempt", 1), deadline)

    def with_call(self, data: Mapping[str, Any]) -> OpenTurn:
        """A call has begun."""
        place = (self.attempt, data.get("round", 1), data.get("index", len(self.calls)))
        call = Called(data["call_id"], data["name"], freeze(data["arguments"]), place)
        texts = {**self.texts, place[:2]: data["text"]} if "text" in data else self.texts
        usage = self.usage + Usage.model_validate(data["usage"]) if data.get("usage") else self.usage
        return replace(self, calls=(*self.calls, call), texts=texts, usage=usage)

    def with_result(self, data: Mapping[str, Any]) -> OpenTurn:
        """A call has come to its end."""
        outcome, content = data["outcome"], data.get("content", "")
        calls = tuple(
            replace(call, outcome=outcome, content=content)
            if call.id == data["call_id"] and call.outcome is None
            else call
            for call in self.calls
        )
        return replace(self, calls=calls)

    def with_halt(self, data: Mapping[str, Any]) -> OpenTurn:
        """The line was stopped."""
        pending = tuple(ToolCall.model_validate(call) for call in data.get("pending") or ())
        halted = Halted(
            data["reason"],
            data.get("evidence") or EMPTY,
            data.get("text", ""),
            pending,
            (self.attempt, data.get("round", 1), data.get("index", 0)),
            asks=data.get("asks") is True,
            usage=data.get("usage") or EMPTY,
        )
        if self.halted is not None and not pending:
            # Once more, before the calls of the first time were made.
            before = self.halted
            halted = replace(halted, text=before.text, pending=before.pending, place=before.place, usage=before.usage)
        return replace(self, halted=halted)

    def with_decision(self, data: Mapping[str, Any]) -> OpenTurn:
        """A person has decided. No rule fires twice for the same thing."""
        halted = self.halted
        if halted is None:
            return self
        call_id, is_approved = str(halted.evidence.get("call_id", "")), data["decision"] != "reject"
        if not is_approved and not halted.takes_no:
            return replace(self, is_called_off=True)
        if halted.reason == "needs_approval":
            if is_approved:
                return replace(self, approved_calls=self.approved_calls | {call_id})
            return replace(self, refused={**self.refused, call_id: data.get("note") or ""})
        if halted.reason in BY_CALLS:
            return replace(self, forgiven=len(self.calls))
        if halted.reason == "budget_nearly_spent":
            return replace(self, approved_budgets=self.approved_budgets | {str(halted.evidence.get("budget"))})
        return self

    # --- questions -------------------------------------------------------------------------------

    @property
    def round(self) -> int:
        """How many rounds of calls there were, in all attempts."""
        return len({call.place[:2] for call in self.calls})

    @property
    def pending(self) -> tuple[Place, tuple[ToolCall, ...], str]:
        """The calls that the line was stopped before, and that are still to be made; where; what was said before."""
        halted = self.halted
        if halted is None or halted.place[0] != self.attempt:
            return (self.attempt, self.round + 1, 0), (), ""
        done = {call.place for call in self.calls}
        attempt, number, first = halted.place
        left = [call for index, call in enumerate(halted.pending, first) if (attempt, number, index) not in done]
        return (attempt, number, first + len(halted.pending) - len(left)), tuple(left), halted.text

    def at(self, place: Place) -> Called | None:
        """The call at *place*, if it was begun."""
        return next((call for call in self.calls if call.place == place), None)

    def id_like(self, wanted: str) -> str:
        """An id for a call that no other one of the turn has."""
        known = {call.id for call in self.calls}
        id = wanted or f"call_{len(self.calls) + 1}"
        return id if id not in known else f"{id}-{len(self.calls) + 1}"

    def key_of(self, session_id: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The idempotency key of the next call of this kind, and whether one with it may have had its effect.

        It is the session's own: a turn's id is made of what a caller chose, and two may have chosen alike.
        """
        what = (name, canonical(arguments))
        done, is_open = 0, False
        for call in self.calls:
            if (call.name, canonical(call.arguments)) == what:
                is_open = call.outcome in {None, "interrupted"}
                done += not is_open
        digest = sha256("\0".join((session_id, self.id, *what)).encode()).hexdigest()[:32]
        return f"{digest}-{done + 1}", is_open

    def unanswered(self) -> Iterator[dict[str, Any]]:
        """The results to be written of calls that nobody will answer any more."""
        for call in self.calls:
            if call.outcome is None:
                yield {"turn_id": self.id, "call_id": call.id, "outcome": "interrupted"}

    # --- what is said ----------------------------------------------------------------------------

    def said(self) -> Iterator[tuple[Role, str, dict[str, Any]]]:
        """Role, content and metadata of its messages so far: the question, then each round's calls and results."""
        yield "user", self.content, {"turn_id": self.id}
        rounds: dict[tuple[int, int], list[Called]] = {}
        for call in self.calls:
            rounds.setdefault(call.place[:2], []).append(call)
        for number, calls in rounds.items():
            listed = [{"id": call.id, "name": call.name, "arguments": dict(call.arguments)} for call in calls]
            yield "assistant", self.texts.get(number, ""), {"turn_id": self.id, "tool_calls": listed}
            for call in calls:
                metadata = {"turn_id": self.id, "call_id": call.id, "name": call.name, "outcome": call.outcome}
                yield "tool", call.told, metadata

    def messages(self, session_id: str, seq: int, at: datetime) -> Sequence[Message]:
        """The same, as the model is shown them after entry *seq*."""
        about = {"id": "", "seq": seq, "session_id": session_id, "at": at}
        return [
            trusted(Message, _MESSAGE_FIELDS, {**about, "role": role, "content": content, "metadata": frozen(metadata)})
            for role, content, metadata in self.said()
        ]


def turn_after(turn: OpenTurn | None, entry: Entry) -> OpenTurn | None:
    """The open turn after *entry*, which does not end it."""
    data = entry.data
    if entry.type == EventType.TURN_STARTED:
        return OpenTurn.begun(data, turn)
    if turn is None:
        return None
    match entry.type:
        case EventType.TOOL_CALL:
            return turn.with_call(data)
        case EventType.TOOL_RESULT:
            return turn.with_result(data)
        case EventType.SESSION_HALTED:
            return turn.with_halt(data)
        case _:
            decided = Decided(entry.seq, data["decision"] != "reject", data.get("text", data.get("note")))
            return replace(turn.with_decision(data), decided=decided)
