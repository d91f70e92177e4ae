"""The record of tools: each call is in the journal before it has any effect, and the line is stopped before that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jidoka.core.entries import Entry
from jidoka.core.errors import LineStopped
from jidoka.core.events import EventType
from jidoka.core.frozen import thaw
from jidoka.core.rules import TurnRecord, judge
from jidoka.core.status import SessionStatus
from jidoka.core.tools import CallInfo
from jidoka.core.turns import Called, OpenTurn, Place
from jidoka.sessions import requests as ask
from jidoka.sessions.drafts import Draft, status_draft
from jidoka.sessions.turn_view import allowance_of

if TYPE_CHECKING:
    from jidoka.core.chunks import ToolCall
    from jidoka.core.state import SessionState
    from jidoka.sessions.setup import SessionSetup
    from jidoka.sessions.turn_view import TurnOptions


class ToolRecords:
    """The part of the context manager that keeps the record of calls, and halts before them."""

    setup: SessionSetup
    state: SessionState

    if TYPE_CHECKING:

        @property
        def options(self) -> TurnOptions: ...

        def write(self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], Any]) -> Any: ...

        def _open_turn(self, turn_id: str, *, or_called_off: bool = False) -> OpenTurn: ...

    def begin_call(self, message: ask.BeginCall) -> Any:
        """Record a call that is about to have its effect. Raises LineStopped: then it has none."""
        turn = self._open_turn(message.turn_id)
        begun = turn.at(message.place)
        if begun is not None:
            # Asked again: this actor crashed after it had been committed.
            return ask.Begun(self._info(turn, begun, is_again=True), is_over=begun.outcome is not None)
        if self.state.status is SessionStatus.WAITING_INPUT:
            raise LineStopped
        call = message.calls[0]
        call = call.model_copy(update={"id": turn.id_like(call.id)})
        halt = self._halt_before(turn, call, message)
        if halt:
            return self.write(halt, None, stop_the_line)
        return self._begin(turn, call, message)

    def _begin(self, turn: OpenTurn, call: ToolCall, message: ask.BeginCall) -> Any:
        _, number, index = message.place
        data: dict[str, Any] = {
            "turn_id": turn.id,
            "call_id": call.id,
            "name": call.name,
            "arguments": thaw(call.arguments),
            "round": number,
            "index": index,
        }
        if index == 0 or not any(known.place[:2] == message.place[:2] for known in turn.calls):
            data |= {"text": message.text, "usage": message.usage or _usage_before(turn, message.place)}
        drafts: list[Draft] = [(EventType.TOOL_CALL, data)]
        refusal = turn.refused.get(call.id)
        if refusal is not None:
            said = f": {refusal}" if refusal else ""
            end = {"outcome": "error", "content": f"a person has refused this call{said}"}
            drafts.append((EventType.TOOL_RESULT, {"turn_id": turn.id, "call_id": call.id, **end}))
        info = self._info(turn, Called(call.id, call.name, call.arguments, message.place))
        return self.write(drafts, None, lambda _: ask.Begun(info, is_over=refusal is not None))

    def _info(self, turn: OpenTurn, call: Called, *, is_again: bool = False) -> CallInfo:
        if is_again:
            turn = replace(turn, calls=tuple(known for known in turn.calls if known.id != call.id))
        key, is_repeat = turn.key_of(self.setup.session_id, call.name, call.arguments)
        return CallInfo(self.setup.session_id, turn.id, call.id, key, is_repeat)

    def end_call(self, message: ask.EndCall) -> Any:
        """Record what came of a call. Also while the line is stopped, or after that: it has happened."""
        turn = self._open_turn(message.turn_id, or_called_off=True)
        if not any(call.id == message.call_id and call.outcome is None for call in turn.calls):
            return None
        data = {
            "turn_id": turn.id,
            "call_id": message.call_id,
            "outcome": message.end.outcome,
            "content": message.end.content,
        }
        return self.write([(EventType.TOOL_RESULT, data)], None, _nothing)

    # --- stop the line ---------------------------------------------------------------------------------------

    def ask_person(self, message: ask.AskPerson) -> Any:
        """The model asks: the line stops until somebody has said something."""
        turn, question = self._open_turn(message.turn_id), message.question
        if self.state.status is SessionStatus.WAITING_INPUT:
            return self.state.seq
        evidence = {**thaw(question.evidence), "question": question.text}
        return self.write(self._halt(turn, question.reason, evidence, asks=True), None, lambda _: self.state.seq)

    def halt_by_rule(self, turn: OpenTurn) -> list[Draft]:
        """The entries of a halt before the model is called, if a rule fires."""
        if not turn.calls and not self.options.limits.is_set:
            # Nothing has been done yet that a rule could be about.
            return []
        halt = judge(self._record(turn), self.options.rules)
        return self._halt(turn, halt.reason, dict(halt.evidence)) if halt is not None else []

    def _halt_before(self, turn: OpenTurn, call: ToolCall, message: ask.BeginCall) -> list[Draft]:
        rules = self.options.rules
        if message.needs_approval:
            rules = replace(rules, needs_approval=rules.needs_approval | {call.name})
        record = replace(self._record(turn), pending=None if call.id in turn.refused else call)
        halt = judge(record, rules)
        if halt is None:
            return []
        calls = [call, *message.calls[1:]]
        return self._halt(
            turn,
            halt.reason,
            dict(halt.evidence),
            pending=[thaw(one.model_dump(mode="json")) for one in calls],
            text=message.text,
            usage=message.usage,
            round=message.place[1],
            index=message.place[2],
        )

    def _record(self, turn: OpenTurn) -> TurnRecord:
        approved = set(turn.approved_budgets)
        if self.state.ledger.is_approved:
            approved.add("session")
        return TurnRecord(
            calls=[call.record for call in turn.calls if call.outcome is not None],
            budgets=allowance_of(self.state, turn, self.options.limits).budgets,
            approved_calls=turn.approved_calls,
            forgiven=turn.forgiven,
            approved_budgets=frozenset(approved),
        )

    def _halt(self, turn: OpenTurn, reason: str, evidence: dict[str, Any], **more: Any) -> list[Draft]:
        data = {"reason": reason, "evidence": evidence, "turn_id": turn.id, **more}
        status = status_draft(SessionStatus.WAITING_INPUT, self.state.status)
        return [status, (EventType.SESSION_HALTED, data)]


def _usage_before(turn: OpenTurn, place: Place) -> Any:
    """What the model used to say the calls, if a halt before the first of them has outlived whoever heard it."""
    return thaw(turn.halted.usage) if turn.halted is not None and turn.halted.place == place else {}


def _nothing(_: list[Entry]) -> None:
    return None


def stop_the_line(_: list[Entry]) -> Any:
    """The answer to whoever asked for what was halted instead."""
    raise LineStopped
