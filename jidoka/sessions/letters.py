"""The dead letters of a session, as its context manager keeps them: entries of the journal, like everything else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from jidoka.core.entries import Entry
from jidoka.core.errors import InvalidMessage, JidokaError
from jidoka.core.events import EventType
from jidoka.core.letters import MAX_LETTERS, PART
from jidoka.core.state import SessionState
from jidoka.sessions.drafts import Draft

if TYPE_CHECKING:
    from jidoka.sessions import requests as ask
    from jidoka.sessions.setup import SessionSetup

T = TypeVar("T")


class Letters:
    """The part of the context manager that puts aside what cannot be done."""

    setup: SessionSetup
    state: SessionState

    if TYPE_CHECKING:

        def write(self, drafts: Sequence[Draft], key: str | None, answer: Callable[[list[Entry]], Any]) -> Any: ...

        def unless_done(self, key: str, refusal: JidokaError, answer: Callable[[list[Entry]], Any]) -> Any: ...

        def now_or_later(self, work: Coroutine[Any, Any, T]) -> Any: ...

    def put_aside(self, message: ask.PutAside) -> Any:
        """A dead letter, unless the request had taken effect after all. The same one again replaces its own."""
        return self.now_or_later(self._put_aside(message))

    async def _put_aside(self, message: ask.PutAside) -> str | None:
        letter, store = message.letter, self.setup.house.store
        if letter["key"] is not None:
            if await store.entry_with(self.setup.session_id, letter["key"]) is not None:
                return None
            for other in self.state.letters.values():
                if other.key == letter["key"] and other.id != letter["id"]:
                    # Sent by several at once, and put aside for one of them already.
                    return other.id
        others = [id for id in self.state.letters if id != letter["id"]]
        drafts = [_removal(id, "there is no room") for id in others[: max(0, len(others) + 1 - MAX_LETTERS)]]
        drafts.append((EventType.CONTEXT_UPDATED, letter))
        writing = self.write(drafts, message.key, lambda _: None)
        if writing is not None:
            await writing
        return letter["id"]

    def remove_letter(self, message: ask.RemoveLetter) -> Any:
        """It has been requeued, or is given up. Raises InvalidMessage when there is no such letter."""
        if message.letter_id not in self.state.letters:
            refusal = InvalidMessage(f"there is no dead letter {message.letter_id!r:.80}", field="letter_id")
            return self.unless_done(message.key, refusal, lambda _: None)
        return self.write([_removal(message.letter_id, message.why)], message.key, lambda _: None)


def _removal(letter_id: str, why: str) -> Draft:
    return EventType.CONTEXT_UPDATED, {"part": PART, "op": "remove", "id": letter_id, "why": why}
