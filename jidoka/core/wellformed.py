"""Whether a journal is one that jidoka could have written: its order, its moves, its turns, its tool calls.

It is so at every instant. The open turn is the one thing that may be unfinished; `unanswered` says what a recovery has
to finish of it. Decision 0018 names the members that pair calls, results and turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.events import EventType
from jidoka.core.heads import Head
from jidoka.core.lifecycle import MOVES
from jidoka.core.status import SessionStatus

Draft = tuple[str, dict[str, Any]]

# In these nothing may happen but that they end.
_RESTING: Final = frozenset(
    {SessionStatus.SUSPENDED, SessionStatus.TERMINATING, SessionStatus.TERMINATED, SessionStatus.FAILED}
)
_TURN_OVER: Final = frozenset({EventType.TURN_COMPLETED, EventType.TURN_FAILED, EventType.TURN_CANCELLED})
_TOOLS: Final = frozenset({EventType.TOOL_CALL, EventType.TOOL_RESULT})


def flaws_of(entries: Sequence[Entry], head: Head | None = None) -> list[str]:
    """What is wrong with a whole journal, in words; nothing, if it is well formed. *head* is what its store says."""
    walk = _Walk()
    for entry in entries:
        walk.take(entry)
    walk.end()
    if head is not None:
        walk.flaws += _flaws_of_head(entries, head)
    return walk.flaws


def unanswered(entries: Iterable[Entry]) -> list[Entry]:
    """The tool calls that have no result yet, in order. Only an open turn may have any."""
    waiting: dict[tuple[Any, Any], Entry] = {}
    for entry in entries:
        if entry.type == EventType.TOOL_CALL:
            waiting[_call_of(entry)] = entry
        elif entry.type == EventType.TOOL_RESULT:
            waiting.pop(_call_of(entry), None)
    return list(waiting.values())


def interrupted_results(entries: Iterable[Entry]) -> list[Draft]:
    """The results that a recovery writes for calls which nobody will answer any more, before it ends their turn."""
    return [
        (EventType.TOOL_RESULT, {"turn_id": turn_id, "call_id": call_id, "outcome": "interrupted"})
        for turn_id, call_id in map(_call_of, unanswered(entries))
    ]


def _call_of(entry: Entry) -> tuple[Any, Any]:
    return entry.data.get("turn_id"), entry.data.get("call_id")


def _flaws_of_head(entries: Sequence[Entry], head: Head) -> list[str]:
    try:
        sound = Head.of(head.session_id, list(entries))
    except CorruptRecord as error:
        return [str(error)]
    names = [name for name in Head.__slots__ if name not in {"arrival", "epoch"}]
    flaws = [
        f"the head says {name} {getattr(head, name)!r}, and the entries {getattr(sound, name)!r}"
        for name in names
        if getattr(head, name) != getattr(sound, name)
    ]
    if head.epoch < sound.epoch:
        flaws.append(f"the head is in epoch {head.epoch}, and an entry in {sound.epoch}")
    return flaws


class _Walk:
    """One way through a journal, from the first entry to the last, that notes what does not fit."""

    def __init__(self) -> None:
        self.flaws: list[str] = []
        self._seq = self._epoch = 0
        self._keys: set[str] = set()
        self._status = SessionStatus.INITIALIZING
        self._turn: str | None = None
        self._turns: set[str] = set()
        # Of the open turn: which calls there are, and whether they have a result.
        self._calls: dict[Any, bool] = {}
        # Of the turn that is being completed: who spoke, and where.
        self._said: list[tuple[str, int]] = []

    def take(self, entry: Entry) -> None:
        """The next entry."""
        self._look_at_order(entry)
        if self._said and not self._is_of_the_turn(entry):
            self._note(entry, "stands between a question and its answer")
        if self._status in _RESTING and not entry.type.startswith("session_"):
            self._note(entry, f"was written while the session was {self._status}")
        look = _LOOKS.get(entry.type)
        if look is not None:
            look(self, entry)

    def end(self) -> None:
        """There are no more."""
        if not self._seq:
            self.flaws.append("there is no entry")
        if self._said:
            self.flaws.append(f"the journal ends inside the answer of turn {self._turn}")

    def _note(self, entry: Entry, text: str) -> None:
        self.flaws.append(f"entry {entry.seq} ({entry.type}) {text}")

    def _look_at_order(self, entry: Entry) -> None:
        if entry.seq != self._seq + 1:
            self._note(entry, f"stands where entry {self._seq + 1} should be")
        if entry.epoch < self._epoch:
            self._note(entry, f"is of epoch {entry.epoch}, after one of epoch {self._epoch}")
        if (entry.type == EventType.SESSION_CREATED) is not (not self._seq):
            self._note(entry, "is no way to begin, or to go on")
        if entry.key is not None and entry.key in self._keys:
            self._note(entry, f"has the key {entry.key!r}, which an earlier entry has")
        elif entry.key is not None:
            self._keys.add(entry.key)
        self._seq, self._epoch = entry.seq, entry.epoch

    def _is_of_the_turn(self, entry: Entry) -> bool:
        is_record = entry.type in _TURN_OVER or entry.type in _TOOLS or entry.type == EventType.CONVERSATION_ADDED
        return is_record and entry.data.get("turn_id") == self._turn

    # --- status ----------------------------------------------------------------------------------

    def _move(self, entry: Entry) -> None:
        data = entry.data
        if data.get("previous_status") != self._status:
            self._note(entry, f"comes from {data.get('previous_status')}, and the session was {self._status}")
        try:
            target = SessionStatus(data.get("status", ""))
        except ValueError:
            self._note(entry, f"leads to {data.get('status')!r}, which is no status")
            return
        if target not in MOVES[self._status]:
            self._note(entry, f"leads from {self._status} to {target}, which is no legal move")
        if target in _RESTING and self._turn is not None:
            self._note(entry, f"leads to {target} while turn {self._turn} is open")
        self._status = target

    def _must_be(self, entry: Entry) -> None:
        wanted = _WANTED[entry.type]
        if self._status is not wanted:
            self._note(entry, f"says so of a session that is {self._status}")

    # --- turns -----------------------------------------------------------------------------------

    def _start(self, entry: Entry) -> None:
        turn = entry.data.get("turn_id")
        if turn is not None and turn == self._turn and entry.data.get("attempt", 1) > 1:
            # Begun by a process that is gone, and begun again by another.
            self._look_for_unanswered(entry)
            self._calls = {}
            return
        if self._turn is not None:
            self._note(entry, f"begins while turn {self._turn} is open")
        if turn is None or turn in self._turns:
            self._note(entry, f"begins turn {turn} once more")
        self._turn = turn
        self._turns.add(str(turn))

    def _over(self, entry: Entry) -> None:
        turn = entry.data.get("turn_id")
        if turn != self._turn or turn is None:
            self._note(entry, f"ends turn {turn}, and {self._turn or 'none'} is open")
        self._look_for_unanswered(entry)
        if entry.type == EventType.TURN_COMPLETED:
            self._look_at_the_answer(entry)
        elif self._said:
            self._note(entry, "leaves half a turn in the history")
        self._turn, self._calls, self._said = None, {}, []

    def _look_for_unanswered(self, entry: Entry) -> None:
        for call in [call for call, is_answered in self._calls.items() if not is_answered]:
            self._note(entry, f"leaves tool call {call} without a result")

    def _look_at_the_answer(self, entry: Entry) -> None:
        roles = [role for role, _ in self._said]
        if roles[:1] != ["user"] or roles.count("user") != 1 or roles[-1] != "assistant":
            self._note(entry, f"completes a turn in which spoke: {', '.join(roles) or 'nobody'}")
        elif entry.data.get("message_seq") != self._said[-1][1]:
            self._note(entry, f"names entry {entry.data.get('message_seq')} as its answer, not {self._said[-1][1]}")

    def _say(self, entry: Entry) -> None:
        turn = entry.data.get("turn_id")
        # What a fork or an import begins with was said in another journal.
        if turn is None or self._status is SessionStatus.INITIALIZING:
            return
        if turn != self._turn:
            self._note(entry, f"belongs to turn {turn}, and {self._turn or 'none'} is open")
        self._said.append((str(entry.data.get("role")), entry.seq))

    # --- tools -----------------------------------------------------------------------------------

    def _call(self, entry: Entry) -> None:
        turn, call = _call_of(entry)
        if turn is None or turn != self._turn:
            self._note(entry, f"is of turn {turn}, and {self._turn or 'none'} is open")
        if call is None or call in self._calls:
            self._note(entry, f"makes call {call} once more")
        self._calls[call] = False

    def _answer(self, entry: Entry) -> None:
        turn, call = _call_of(entry)
        if turn is None or turn != self._turn or call not in self._calls:
            self._note(entry, f"answers call {call} of turn {turn}, which nobody made")
        elif self._calls[call]:
            self._note(entry, f"answers call {call} a second time")
        else:
            self._calls[call] = True


_WANTED: Final = {
    str(EventType.SESSION_SUSPENDED): SessionStatus.SUSPENDED,
    str(EventType.SESSION_TERMINATED): SessionStatus.TERMINATED,
    str(EventType.SESSION_FAILED): SessionStatus.FAILED,
    str(EventType.SESSION_HALTED): SessionStatus.WAITING_INPUT,
    str(EventType.SESSION_IDLE): SessionStatus.IDLE,
    str(EventType.SESSION_RESUMED): SessionStatus.ACTIVE,
}

_LOOKS: Final[dict[str, Callable[[_Walk, Entry], None]]] = {
    str(type): look
    for type, look in {
        EventType.SESSION_STATUS: _Walk._move,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_STARTED: _Walk._start,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_COMPLETED: _Walk._over,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_FAILED: _Walk._over,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_CANCELLED: _Walk._over,  # pyright: ignore[reportPrivateUsage]
        EventType.CONVERSATION_ADDED: _Walk._say,  # pyright: ignore[reportPrivateUsage]
        EventType.TOOL_CALL: _Walk._call,  # pyright: ignore[reportPrivateUsage]
        EventType.TOOL_RESULT: _Walk._answer,  # pyright: ignore[reportPrivateUsage]
        **dict.fromkeys(map(EventType, _WANTED), _Walk._must_be),  # pyright: ignore[reportPrivateUsage]
    }.items()
}
