"""A turn's entries. The question, what tools did, the answer and the word that it is complete are one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from jidoka.actors.errors import ActorDead, MailboxFull
from jidoka.core.chunks import Usage
from jidoka.core.entries import Entry
from jidoka.core.errors import IdempotencyConflict, InvalidTransition, LineStopped, TurnCancelled, TurnFailed
from jidoka.core.events import EventType
from jidoka.core.messages import Message
from jidoka.core.pruning import PruneReport
from jidoka.core.state import SessionState
from jidoka.core.status import SessionStatus
from jidoka.core.summaries import SUMMARY
from jidoka.core.turns import OpenTurn
from jidoka.sessions import requests as ask
from jidoka.sessions.context_tools import stop_the_line
from jidoka.sessions.drafts import Draft, status_draft
from jidoka.sessions.turn_view import TurnOptions, next_step

if TYPE_CHECKING:
    from jidoka.sessions.setup import SessionSetup

MOST_ATTEMPTS: Final = 3
"""A turn that ends its process, or its orchestrator, each time it is run is not run for ever."""

MOST_TEXT: Final = 100_000
"""So many characters of an answer that was not finished are kept."""


class TurnRecords:
    """The half of the context manager that keeps the record of turns."""

    setup: SessionSetup
    state: SessionState
    _options: TurnOptions | None = None

    if TYPE_CHECKING:

        def write(
            self,
            drafts: Sequence[Draft],
            key: str | None,
            answer: Callable[[list[Entry]], Any],
            *,
            wakes: bool = True,
        ) -> Any: ...

        def halt_by_rule(self, turn: OpenTurn, **pending: Any) -> list[Draft]: ...

    @property
    def options(self) -> TurnOptions:
        """What the session says of its turns."""
        if self._options is None:
            self._options = TurnOptions.of(self.setup.llm)
        return self._options

    # --- beginning -------------------------------------------------------------------------------------------

    def start_turn(self, message: ask.StartTurn) -> Any:
        """Open a turn, or go on with it. While halted: InvalidTransition; LineStopped for a turn that is open."""
        turn_id, is_halted = message.turn_id, self.state.status is SessionStatus.WAITING_INPUT
        if self.state.turn == turn_id:
            turn = self._open_turn(turn_id)
            if turn.content != message.content:
                raise IdempotencyConflict(key=turn_id)
            if is_halted:
                raise LineStopped
            return self._step(turn, [])
        if is_halted:
            raise InvalidTransition(status=self.state.status, target=SessionStatus.ACTIVE)
        data = self._beginning(message)
        turn = OpenTurn.begun(data, None)
        # The orchestrator has one turn at a time: any other that is open has ended while nobody could write it down.
        drafts = [*self.turn_is_over("interrupted"), (EventType.TURN_STARTED, data)]

        def known(entry: Entry) -> Message:
            if entry.data.get("content") != message.content:
                raise IdempotencyConflict(key=turn_id, seq=entry.seq)
            return self._answer_of(turn_id)

        return self._step(turn, drafts, f"{turn_id}:start", known=known, data=data)

    def _beginning(self, message: ask.StartTurn) -> dict[str, Any]:
        data: dict[str, Any] = {"turn_id": message.turn_id, "content": message.content, "model": message.model}
        if message.timeout is not None:
            data["deadline"] = (self.setup.house.world.now() + timedelta(seconds=message.timeout)).isoformat()
        return data

    def _open_turn(self, turn_id: str, *, or_called_off: bool = False) -> OpenTurn:
        turn = self.state.open_turn
        if turn is None or turn.id != turn_id:
            raise TurnFailed("the turn is over", session_id=self.setup.session_id, turn_id=turn_id, error="interrupted")
        if turn.is_called_off and not or_called_off:
            # Whoever runs it has not heard so yet: nothing more takes effect.
            raise TurnCancelled(session_id=self.setup.session_id, turn_id=turn_id)
        return turn

    def _answer_of(self, turn_id: str) -> Message:
        answer = self._answer_in_the_history(turn_id)
        if answer is None:
            raise TurnFailed("the turn ended without an answer", session_id=self.setup.session_id, turn_id=turn_id)
        return answer

    def _answer_in_the_history(self, turn_id: str) -> Message | None:
        for message in reversed(self.state.messages):
            if message.role == "assistant" and message.metadata.get("turn_id") == turn_id:
                return message
        return None

    # --- step by step ----------------------------------------------------------------------------------------

    def next_step(self, message: ask.NextStep) -> Any:
        """What is done after a round of calls. Raises LineStopped: a rule may fire here."""
        turn = self._open_turn(message.turn_id)
        if self.state.status is SessionStatus.WAITING_INPUT:
            raise LineStopped
        halt = self.halt_by_rule(turn)
        if halt:
            return self.write(halt, None, stop_the_line)
        return self._step(turn, [], without_summary=message.without_summary)

    def add_summary(self, message: ask.AddSummary) -> Any:
        """What a model made of the older part of the conversation."""
        turn, plan = self._open_turn(message.turn_id), message.plan
        for known in self.state.summaries:
            if (known.first_seq, known.last_seq, known.level) == (plan.first_seq, plan.last_seq, plan.level):
                return self._step(turn, [])
        data = {
            "part": SUMMARY,
            "first_seq": plan.first_seq,
            "last_seq": plan.last_seq,
            "level": plan.level,
            "content": message.content,
            "turn_id": turn.id,
            "model": turn.model,
            "usage": message.usage,
        }
        return self.write([(EventType.CONTEXT_UPDATED, data)], None, lambda _: self._step_only(turn))

    def _step_only(self, turn: OpenTurn) -> ask.Step:
        return next_step(self.setup, self.state, turn, self.options)[0]

    def _step(
        self,
        turn: OpenTurn,
        drafts: list[Draft],
        key: str | None = None,
        *,
        known: Callable[[Entry], Message] | None = None,
        data: dict[str, Any] | None = None,
        without_summary: bool = False,
    ) -> Any:
        if key is not None and self.halt_by_rule(turn):
            # It has to be in the journal first: then it is halted.
            step, report = ask.Step(turn.pending[0]), None
        else:
            step, report = next_step(self.setup, self.state, turn, self.options, without_summary=without_summary)
        if report is not None:
            # Before the last one, on which the key stands.
            drafts = [*drafts[:-1], _pruned(turn, report), *drafts[-1:]]
        if not drafts:
            return step

        def answer(entries: list[Entry]) -> ask.Step | Message:
            is_old = known is not None and entries[-1].data is not data and self.state.turn != turn.id
            return known(entries[-1]) if known is not None and is_old else step

        return self.write(drafts, key, answer)

    def tell_decided(self) -> None:
        """What a person has said last goes to whoever runs the turn: whoever has said it may be gone."""
        turn = self.state.open_turn
        orchestrator = self.setup.house.registry.child(self.setup.session_id, "orchestrator")
        if turn is None or turn.decided is None or orchestrator is None:
            return
        with suppress(ActorDead, MailboxFull):
            # Its next incarnation asks how things are.
            orchestrator.tell(ask.GoOn(turn.id, turn.decided, cancels=turn.is_called_off))

    # --- the end ---------------------------------------------------------------------------------------------

    def complete_turn(self, message: ask.CompleteTurn) -> Any:
        """All that was said, at once. Raises LineStopped while halted, before any effect."""
        turn_id = message.turn_id
        if self.state.turn != turn_id:
            return self._answer_of(turn_id)
        if self.state.status is SessionStatus.WAITING_INPUT:
            raise LineStopped
        turn = self._open_turn(turn_id)
        drafts = [self._said(*said, turn_id=turn_id) for said in turn.said()]
        drafts.append(self._said("assistant", message.answer, {"turn_id": turn_id}, turn_id=turn_id))
        over: dict[str, Any] = {
            "turn_id": turn_id,
            "message_seq": self.state.seq + len(drafts),
            "usage": self._usage(turn, message.usage),
        }
        if message.measured:
            over["measured"] = message.measured
        drafts.append((EventType.TURN_COMPLETED, over))
        return self.write(drafts, None, lambda _: self.state.messages[-1])

    @staticmethod
    def _usage(turn: OpenTurn | None, last: dict[str, Any]) -> dict[str, Any]:
        """What the whole turn has used: its rounds, and what was used after them."""
        if turn is None or not turn.calls:
            return last
        return (turn.usage + Usage.model_validate(last)).model_dump(exclude_none=True)

    def _said(self, role: str, content: str, metadata: dict[str, Any], *, turn_id: str) -> Draft:
        id = f"message_{self.setup.house.world.new_id()}"
        data = {"id": id, "role": role, "content": content, "metadata": metadata, "turn_id": turn_id}
        return EventType.CONVERSATION_ADDED, data

    def end_turn(self, message: ask.EndTurn) -> Any:
        """Failed or cancelled: the history is as it was before the turn. Too late? Then this is the answer."""
        if self.state.turn != message.turn_id:
            return self._answer_in_the_history(message.turn_id)
        usage = self._usage(self.state.open_turn, message.usage)
        more: dict[str, Any] = {"usage": usage} if usage else {}
        if message.reason is not None:
            more["reason"] = message.reason
        if message.text:
            more["text"] = message.text[:MOST_TEXT]
        drafts = self.turn_is_over(message.error, **more)
        if self.state.status is SessionStatus.WAITING_INPUT:
            decision = "expired" if message.is_late else "cancel_turn"
            drafts.append((EventType.DECISION_RECORDED, {"decision": decision, "note": None, "by": None}))
            drafts.append(status_draft(SessionStatus.ACTIVE, SessionStatus.WAITING_INPUT))
        return self.write(drafts, None, lambda _: None)

    def turn_is_over(self, error: str | None, **more: Any) -> list[Draft]:
        """The entries that close the open turn, if there is one: as failed with *error*, or as cancelled."""
        turn_id, turn = self.state.turn, self.state.open_turn
        if turn_id is None:
            return []
        drafts: list[Draft] = []
        if turn is not None:
            drafts += [(EventType.TOOL_RESULT, result) for result in turn.unanswered()]
        data = {"turn_id": turn_id, **more}
        if error is None:
            drafts.append((EventType.TURN_CANCELLED, data))
        else:
            drafts.append((EventType.TURN_FAILED, {**data, "error": error}))
        if turn is not None and self.setup.config.failed_question == "keep":
            id = f"message_{self.setup.house.world.new_id()}"
            metadata = {"turn_id": turn_id, "failed": True}
            said = {"id": id, "role": "user", "content": turn.content, "metadata": metadata}
            drafts.append((EventType.CONVERSATION_ADDED, said))
        return drafts

    def turn_is_interrupted(self, *, may_go_on: bool) -> tuple[list[Draft], ask.Prompt | None]:
        """Whoever ran the open turn is gone. What is to be written, and what is to be run by the next one."""
        turn = self.state.open_turn
        if turn is None:
            return self.turn_is_over("interrupted"), None
        if turn.is_called_off:
            return self.turn_is_over(None), None
        results: list[Draft] = [(EventType.TOOL_RESULT, result) for result in turn.unanswered()]
        if self.state.status is SessionStatus.WAITING_INPUT:
            # It waits for a person, whoever runs it.
            return results, self._prompt_of(turn)
        if may_go_on and self.setup.config.interrupted_turn == "resume" and turn.attempt < MOST_ATTEMPTS:
            data: dict[str, Any] = {"turn_id": turn.id, "content": turn.content, "model": turn.model}
            if turn.deadline is not None:
                data["deadline"] = turn.deadline.isoformat()
            again = (EventType.TURN_STARTED, {**data, "attempt": turn.attempt + 1})
            return [*results, again], self._prompt_of(turn)
        return self.turn_is_over("interrupted"), None

    def _prompt_of(self, turn: OpenTurn) -> ask.Prompt:
        left = None
        if turn.deadline is not None:
            left = max(0.0, (turn.deadline - self.setup.house.world.now()).total_seconds())
        return ask.Prompt(turn.id, turn.content, left)


def _pruned(turn: OpenTurn, report: PruneReport) -> Draft:
    return EventType.CONTEXT_PRUNED, {"turn_id": turn.id, **report.as_dict()}
