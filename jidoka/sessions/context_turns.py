"""A turn's entries. The question, the answer and the word that it is complete are committed together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from jidoka.core.context import PARTS, build_context
from jidoka.core.entries import Entry
from jidoka.core.errors import IdempotencyConflict, InvalidTransition, TurnFailed
from jidoka.core.events import EventType
from jidoka.core.frozen import FrozenList
from jidoka.core.messages import Context, Message
from jidoka.core.state import SessionState, message_of
from jidoka.core.status import SessionStatus
from jidoka.sessions import requests as ask
from jidoka.sessions.drafts import Draft

if TYPE_CHECKING:
    from jidoka.sessions.setup import SessionSetup


class TurnRecords:
    """The half of the context manager that keeps the record of turns."""

    setup: SessionSetup
    state: SessionState

    if TYPE_CHECKING:

        def write(
            self,
            drafts: Sequence[Draft],
            key: str | None,
            answer: Callable[[list[Entry]], Any],
            *,
            wakes: bool = True,
        ) -> Any: ...

        def turn_is_over(self, error: str) -> list[Draft]: ...

    def start_turn(self, message: ask.StartTurn) -> Any:
        """Open a turn, or go on with it. Raises InvalidTransition while the line is stopped."""
        is_new = self.state.turn != message.turn_id
        if is_new and self.state.status is SessionStatus.WAITING_INPUT:
            raise InvalidTransition(status=self.state.status, target=SessionStatus.ACTIVE)
        # The orchestrator has one turn at a time: any other that is open has ended while nobody could write it down.
        drafts: list[Draft] = self.turn_is_over("interrupted") if is_new else []
        data = {"turn_id": message.turn_id, "content": message.content, "model": message.model}

        def answer(entries: list[Entry]) -> ask.TurnStart:
            entry = entries[-1]
            if entry.data is data or self.state.turn == message.turn_id:
                return ask.TurnStart(self._seen_by_the_model(message.content))
            if entry.data.get("content") != message.content:
                raise IdempotencyConflict(key=message.turn_id, seq=entry.seq)
            return ask.TurnStart(None, self._answer_of(message.turn_id))

        return self.write([*drafts, (EventType.TURN_STARTED, data)], f"{message.turn_id}:start", answer)

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

    def _seen_by_the_model(self, content: str) -> Context:
        now = self.setup.house.world.now()
        context = build_context(self.state, PARTS, now=now)
        asked = Message(
            id="", seq=self.state.seq, session_id=self.setup.session_id, role="user", content=content, at=now
        )
        return context.model_copy(update={"conversation": FrozenList([*context.conversation, asked])})

    def complete_turn(self, message: ask.CompleteTurn) -> Any:
        """Question and answer, at once. Raises InvalidTransition while the line is stopped, before any effect."""
        if self.state.status is SessionStatus.WAITING_INPUT:
            raise InvalidTransition(status=self.state.status, target=SessionStatus.ACTIVE)
        seq, turn_id = self.state.seq, message.turn_id
        if self.state.turn != turn_id:
            return self._answer_of(turn_id)
        drafts: list[Draft] = [
            (EventType.CONVERSATION_ADDED, self._said("user", message.content, turn_id)),
            (EventType.CONVERSATION_ADDED, self._said("assistant", message.answer, turn_id)),
            (EventType.TURN_COMPLETED, {"turn_id": turn_id, "message_seq": seq + 2, "usage": message.usage}),
        ]
        return self.write(drafts, None, lambda entries: message_of(self.setup.session_id, entries[-2]))

    def _said(self, role: str, content: str, turn_id: str) -> dict[str, Any]:
        id = f"message_{self.setup.house.world.new_id()}"
        return {"id": id, "role": role, "content": content, "metadata": {"turn_id": turn_id}, "turn_id": turn_id}

    def end_turn(self, message: ask.EndTurn) -> Any:
        """Failed or cancelled: the history is as it was before the turn. Too late? Then this is the answer."""
        if self.state.turn != message.turn_id:
            return self._answer_in_the_history(message.turn_id)
        if message.error is None:
            draft: Draft = (EventType.TURN_CANCELLED, {"turn_id": message.turn_id})
        else:
            draft = (EventType.TURN_FAILED, {"turn_id": message.turn_id, "error": message.error})
        return self.write([draft], None, lambda _: None)
