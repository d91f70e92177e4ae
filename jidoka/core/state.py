"""What a session's journal adds up to: its head, and its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from jidoka.core.chunks import Usage
from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY, FrozenDict, freeze, frozen
from jidoka.core.heads import Fold, Head, gap, unreadable
from jidoka.core.ledger import Ledger
from jidoka.core.letters import PART, DeadLetter, letter_of
from jidoka.core.messages import ActiveFile, Message
from jidoka.core.records import trusted
from jidoka.core.summaries import SUMMARY, Summary, summary_of
from jidoka.core.timeline import Timeline
from jidoka.core.turns import OpenTurn, turn_after

NOTHING_USED = Ledger()

_MESSAGE_FIELDS = frozenset(Message.model_fields)
_FILE_FIELDS = frozenset(ActiveFile.model_fields)


def message_of(session_id: str, entry: Entry) -> Message:
    """The message that a `conversation_added` holds. An imported one has its own time."""
    data = entry.data
    fields = {
        "id": data["id"],
        "seq": entry.seq,
        "session_id": session_id,
        "role": data["role"],
        "content": data["content"],
        "at": datetime.fromisoformat(data["at"]) if "at" in data else entry.at,
        "metadata": frozen(data["metadata"]) if data.get("metadata") else EMPTY,
    }
    return trusted(Message, _MESSAGE_FIELDS, fields)


def _when(entry: Entry) -> datetime:
    """When it was done. What an import or a fork has taken over has its own time."""
    at = entry.data.get("at")
    return entry.at if at is None else datetime.fromisoformat(at)


class SessionState(Head):
    """Head and content. An idle session has no content, and what it has none of takes no room."""

    __slots__ = ("_index", "_messages", "_timeline", "_working", "files", "ledger", "letters", "open_turn", "summaries")

    def __init__(self, session_id: str, *, arrival: int = 0) -> None:
        super().__init__(session_id, arrival=arrival)
        self.files: tuple[ActiveFile, ...] = ()
        """The active files, oldest first."""
        self.letters: Mapping[str, DeadLetter] = EMPTY
        """The dead letters by id, oldest first."""
        self.open_turn: OpenTurn | None = None
        """What the open turn has done so far."""
        self.ledger = NOTHING_USED
        self.summaries: tuple[Summary, ...] = ()
        """What models made of the older parts of the conversation, in the order in which they did."""
        self._messages: list[Message] | None = None
        self._timeline: Timeline | None = None
        self._index: dict[str, FrozenDict] | None = None
        self._working: dict[str, Any] | None = None

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation, oldest first."""
        return self._messages or ()

    @property
    def timeline(self) -> Timeline:
        """The conversation, ready to be chosen from. Its messages are looked at when this is asked for, each once."""
        if self._timeline is None:
            self._timeline = Timeline(self._messages or ())
        else:
            self._timeline.catch_up()
        return self._timeline

    @property
    def file_index(self) -> Mapping[str, dict[str, Any]]:
        """What is known of files, by path."""
        return self._index or EMPTY

    @property
    def working(self) -> Mapping[str, Any]:
        """The working context: the scratchpad."""
        return self._working or EMPTY

    def apply(self, entry: Entry) -> None:
        """Take in the next entry. Raises CorruptRecord if it is not the next, or cannot be read."""
        super().apply(entry)
        self._take_content(entry)

    def _take_content(self, entry: Entry) -> None:
        fold = _FOLDS.get(entry.type)
        if fold is not None:
            try:
                fold(self, entry)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise unreadable(self.session_id, entry) from error

    @classmethod
    def resumed(cls, head: Head, entries: Iterable[Entry] = ()) -> SessionState:
        """What *entries* add up to, when *head* says the rest: only what has content is looked at.

        A writer that takes over after a crash need not add up again what its store has added up already. The entries
        are the whole journal, or none if there is no content in it. Raises CorruptRecord if some are missing.
        """
        state = cls.__new__(cls)
        head._copy_into(state)  # pyright: ignore[reportPrivateUsage]
        state.files = ()
        state.letters = EMPTY
        state.open_turn, state.ledger, state.summaries = None, NOTHING_USED, ()
        state._messages = state._timeline = state._index = state._working = None
        seq = 0
        for entry in entries:
            seq += 1
            if entry.seq != seq:
                raise gap(head.session_id, entry, seq)
            state._take_content(entry)
        if seq and seq != head.seq:
            text = f"the journal ends with entry {seq}, and its head says {head.seq}"
            raise CorruptRecord(text, place="journal", session_id=head.session_id)
        return state

    def copy(self) -> SessionState:
        """One that goes its own way from here."""
        other = SessionState.__new__(SessionState)
        self._copy_into(other)
        other.files = self.files
        other.letters = self.letters
        other.open_turn, other.ledger, other.summaries = self.open_turn, self.ledger, self.summaries
        other._messages = self._messages and list(self._messages)
        other._timeline = None
        other._index = self._index and dict(self._index)
        other._working = self._working and dict(self._working)
        return other

    # --- what each type of entry does to the content ---------------------------------------------

    def _add_message(self, entry: Entry) -> None:
        message = message_of(self.session_id, entry)
        if self._messages is None:
            self._messages = [message]
            self._timeline = None
        else:
            self._messages.append(message)

    def _clear(self, _: Entry) -> None:
        self._messages = self._timeline = None
        self.summaries = ()

    def _add_file(self, entry: Entry) -> None:
        fields = {"path": entry.data["path"], "added_at": _when(entry)}
        self.files = (*self.files, trusted(ActiveFile, _FILE_FIELDS, fields))

    def _remove_file(self, entry: Entry) -> None:
        path = entry.data["path"]
        self.files = tuple(file for file in self.files if file.path != path)
        if self._index is not None:
            self._index.pop(path, None)

    def _update(self, entry: Entry) -> None:
        part = entry.data["part"]
        if part == "working_context":
            self._update_working(entry.data)
        elif part == "file_index":
            self._update_index(entry)
        elif part == PART:
            self._update_letters(entry)
        elif part == SUMMARY:
            self.summaries = (*self.summaries, summary_of(entry))
            usage = Usage.model_validate(entry.data.get("usage") or {})
            self.ledger = self.ledger.with_usage(entry.data.get("model", ""), usage)

    def _update_working(self, data: dict[str, Any]) -> None:
        if self._working is None:
            self._working = {}
        if data["op"] == "put":
            self._working[data["key"]] = freeze(data["value"])
        else:
            self._working.pop(data["key"], None)

    def _update_letters(self, entry: Entry) -> None:
        letter_id = entry.data["id"]
        letters = {id: letter for id, letter in self.letters.items() if id != letter_id}
        if entry.data["op"] == "add":
            letters[letter_id] = letter_of(entry)
        self.letters = letters or EMPTY

    def _take_turn(self, entry: Entry) -> None:
        self.open_turn = turn_after(self.open_turn, entry)

    def _end_turn(self, entry: Entry) -> None:
        data, turn = entry.data, self.open_turn
        if turn is not None:
            said = data.get("usage")
            usage = turn.usage if said is None else Usage.model_validate(said)
            ledger = self.ledger.with_turn(turn.model, usage).measured(data.get("measured"))
            self.ledger = replace(ledger, is_approved=True) if "session" in turn.approved_budgets else ledger
        self.open_turn = None

    def _update_index(self, entry: Entry) -> None:
        if self._index is None:
            self._index = {}
        if "files" in entry.data:
            self._take_look(entry.data["files"], entry.data["gone"])
            return
        path = entry.data["path"]
        stamp = {"last_accessed": _when(entry).isoformat()}
        self._index[path] = FrozenDict(self._index.get(path, EMPTY) | frozen(entry.data["metadata"]) | stamp)

    def _take_look(self, files: Mapping[str, Any], gone: Iterable[str]) -> None:
        """What was seen of a workspace. Nobody has accessed these files."""
        assert self._index is not None
        for path, metadata in files.items():
            self._index[path] = FrozenDict(self._index.get(path, EMPTY) | frozen(metadata))
        for path in gone:
            self._index.pop(path, None)


_FOLDS: dict[str, Fold] = {
    str(type): fold
    for type, fold in {
        EventType.CONVERSATION_ADDED: SessionState._add_message,  # pyright: ignore[reportPrivateUsage]
        EventType.CONVERSATION_CLEARED: SessionState._clear,  # pyright: ignore[reportPrivateUsage]
        EventType.FILE_ADDED: SessionState._add_file,  # pyright: ignore[reportPrivateUsage]
        EventType.FILE_REMOVED: SessionState._remove_file,  # pyright: ignore[reportPrivateUsage]
        EventType.CONTEXT_UPDATED: SessionState._update,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_STARTED: SessionState._take_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.TOOL_CALL: SessionState._take_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.TOOL_RESULT: SessionState._take_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.SESSION_HALTED: SessionState._take_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.DECISION_RECORDED: SessionState._take_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_COMPLETED: SessionState._end_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_FAILED: SessionState._end_turn,  # pyright: ignore[reportPrivateUsage]
        EventType.TURN_CANCELLED: SessionState._end_turn,  # pyright: ignore[reportPrivateUsage]
    }.items()
}
