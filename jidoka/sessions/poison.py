"""Requests that crash whoever handles them: recognised, counted, and put aside before they use up a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from jidoka.actors.errors import ActorDead, ActorRestarted
from jidoka.actors.exits import text_of
from jidoka.core.errors import JidokaError
from jidoka.core.letters import PART, DeadLetter
from jidoka.sessions import requests as ask

MAX_CRASHES: Final = 3
"""So often a request may crash its handler. Then it is not tried any more."""

# Requests that are remembered to have crashed something. The oldest are forgotten.
ROOM: Final = 1000

# What becomes a dead letter, by the method that was called. Reads are only refused: nothing is lost with them. So are
# decisions: taken later, they would be about something else.
KINDS: Final[Mapping[str, type[Any]]] = {
    "send_message": ask.AddMessage,
    "clear_history": ask.ClearHistory,
    "update": ask.UpdateMetadata,
    "add_file": ask.AddFile,
    "remove_file": ask.RemoveFile,
    "update_file_index": ask.IndexFile,
    "put_context": ask.PutWorking,
    "delete_context": ask.DeleteWorking,
}
_KIND_OF: Final[Mapping[type[Any], str]] = {cls: kind for kind, cls in KINDS.items()}
# Which of its fields is a write's idempotency key.
_KEY: Final[Mapping[type[Any], str]] = {
    ask.AddMessage: "key",
    ask.ClearHistory: "key",
    ask.UpdateMetadata: "key",
    ask.IndexFile: "write_key",
    ask.PutWorking: "write_key",
}


def blame(error: Exception) -> str | None:
    """What a call did to the actor that had it in hand: the crash, in words. None when the call is not to blame.

    An error that is the answer to the call is raised again.
    """
    if isinstance(error, ActorDead):
        return None
    if isinstance(error, ActorRestarted) and error.dead_letter is None:
        # One that was killed, or ended for its own reasons, says nothing against what it had in hand.
        is_crash = error.was_handled and error.reason is not None and error.reason.kind == "crash"
        return error.reason.detail if is_crash and error.reason is not None else None
    if isinstance(error, JidokaError):
        raise error
    return text_of(error)


class Crashes:
    """How often each request has crashed its handler, whoever asked for it, and across restarts of everything."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def one_more(self, session_id: str, key: str) -> int:
        """Count a crash; how many there were."""
        count = self._counts.pop((session_id, key), 0) + 1
        self._counts[session_id, key] = count
        if len(self._counts) > ROOM:
            del self._counts[next(iter(self._counts))]
        return count

    def forget(self, session_id: str, key: str) -> None:
        """It has been put aside."""
        self._counts.pop((session_id, key), None)


def key_of(request: object) -> str | None:
    """What makes a request the same one when it is repeated, by whomever. None when nothing does."""
    if isinstance(request, ask.Again):
        return request.letter_id
    field = _KEY.get(type(request))
    return None if field is None else getattr(request, field)


def letter_for(request: object, letter_id: str, error: str, crashes: int) -> dict[str, Any] | None:
    """What the journal says of a request that is put aside. None for one that does not become a letter."""
    if isinstance(request, ask.Again):
        letter_id, crashes, request = request.letter_id, crashes + request.crashes, request.request
    kind = _KIND_OF.get(type(request))
    if kind is None:
        return None
    return {
        "part": PART,
        "op": "add",
        "id": letter_id,
        "kind": kind,
        "request": {field.name: getattr(request, field.name) for field in fields(request)},  # pyright: ignore[reportArgumentType]  # all of KINDS are dataclasses
        "key": key_of(request),
        "error": error,
        "crashes": crashes,
    }


def again(letter: DeadLetter) -> ask.Again | None:
    """The request of a letter, to be tried once more. None when it is not known."""
    if letter.request is None:
        return None
    return ask.Again(letter.id, letter.crashes, KINDS[letter.kind](**letter.request))


def refuse_the_dead(letters: Mapping[str, DeadLetter], request: object) -> None:
    """Raise ActorRestarted for a request whose letter lies there: it is not tried before it is requeued."""
    key = None if isinstance(request, ask.Again) else key_of(request)
    if key is None:
        return
    for letter in letters.values():
        if letter.key == key:
            raise put_aside(letter.error, letter.id)


def put_aside(error: str, letter_id: str | None) -> ActorRestarted:
    """What the sender is told."""
    where = f"; it is dead letter {letter_id}" if letter_id is not None else ""
    text = f"the request crashed its handler {MAX_CRASHES} times, and is not tried any more: {error}{where}"
    return ActorRestarted(text, was_handled=True, dead_letter=letter_id)
