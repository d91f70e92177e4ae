"""The head of a journal: what its entries say of the session, without its content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from jidoka.core.entries import Entry
from jidoka.core.errors import CorruptRecord
from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY, frozen
from jidoka.core.merge import merged
from jidoka.core.messages import SessionInfo
from jidoka.core.records import trusted
from jidoka.core.status import SessionStatus

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

# What is done to a session by itself or its supervisor. Everything else is somebody using it.
_NO_ACTIVITY = frozenset(
    str(type)
    for type in (
        EventType.SESSION_STATUS,
        EventType.SESSION_IDLE,
        EventType.SESSION_SUSPENDED,
        EventType.SESSION_TERMINATED,
        EventType.SESSION_FAILED,
        EventType.CHILD_RESTARTED,
    )
)
# Nothing of it runs, and nothing is about to.
AT_REST = frozenset({SessionStatus.SUSPENDED, SessionStatus.TERMINATED, SessionStatus.FAILED})
CYCLE_COUNT = "cycle_count"
"""Where metadata says how many cycles a session has been through: where a session of seed 001 keeps it."""
# With the turns to come it still fits into 32 bits.
MOST_CYCLES = 1_000_000_000
_STATUS = {str(status): status for status in SessionStatus}


class Head:
    """The fold of a journal's entries. Changed in place, for speed: whoever hands one out hands out a copy."""

    __slots__ = (
        "arrival",
        "characters",
        "config",
        "created_at",
        "cycles",
        "epoch",
        "error",
        "incarnation",
        "last_activity_at",
        "llm_config",
        "message_count",
        "metadata",
        "owner",
        "seq",
        "session_id",
        "status",
        "turn",
        "updated_at",
        "version",
    )

    def __init__(self, session_id: str, *, arrival: int = 0) -> None:
        self.session_id = session_id
        self.arrival = arrival
        self.seq = 0
        self.epoch = 0
        self.status = SessionStatus.INITIALIZING
        self.version = 1
        self.incarnation = 1
        self.owner: str | None = None
        self.metadata = self.llm_config = self.config = EMPTY
        self.message_count = 0
        self.characters = 0
        self.cycles = 0
        self.created_at = self.updated_at = self.last_activity_at = _NEVER
        self.error: str | None = None
        self.turn: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_id}: {self.status}, seq {self.seq}, epoch {self.epoch}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Head):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Head.__slots__)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def copy(self) -> Head:
        """One that goes its own way from here."""
        return self._copy_into(Head.__new__(Head))

    def _copy_into(self, other: Head) -> Head:
        other.session_id = self.session_id
        other.arrival = self.arrival
        other.seq = self.seq
        other.epoch = self.epoch
        other.status = self.status
        other.version = self.version
        other.incarnation = self.incarnation
        other.owner = self.owner
        other.metadata = self.metadata
        other.llm_config = self.llm_config
        other.config = self.config
        other.message_count = self.message_count
        other.characters = self.characters
        other.cycles = self.cycles
        other.created_at = self.created_at
        other.updated_at = self.updated_at
        other.last_activity_at = self.last_activity_at
        other.error = self.error
        other.turn = self.turn
        return other

    def apply(self, entry: Entry) -> None:
        """Take in the next entry. Raises CorruptRecord if it is not the next, or cannot be read."""
        if entry.seq != self.seq + 1:
            raise gap(self.session_id, entry, self.seq + 1)
        type = entry.type
        fold = _FOLDS.get(type)
        if fold is not None:
            try:
                fold(self, entry)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise unreadable(self.session_id, entry) from error
        self.seq = entry.seq
        self.epoch = entry.epoch
        self.updated_at = entry.at
        if type not in _NO_ACTIVITY:
            self.last_activity_at = entry.at

    @property
    def expires_at(self) -> datetime | None:
        """When it may be purged: it rests or has ended, and its `max_age` will have passed."""
        max_age = self.config.get("max_age")
        if max_age is None or self.status not in AT_REST:
            return None
        return self.last_activity_at + timedelta(seconds=max_age)

    def info(self) -> SessionInfo:
        """The same for people."""
        fields = {
            "session_id": self.session_id,
            "status": self.status,
            "version": self.version,
            "incarnation": self.incarnation,
            "owner": self.owner,
            "metadata": self.metadata,
            "llm_config": self.llm_config,
            "config": self.config,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "last_activity_at": self.last_activity_at,
            "message_count": self.message_count,
            "last_seq": self.seq,
            "error": self.error,
        }
        return trusted(SessionInfo, _INFO_FIELDS, fields)

    @classmethod
    def of(cls, session_id: str, entries: list[Entry]) -> Self:
        """What *entries*, a whole journal, add up to."""
        head = cls(session_id)
        for entry in entries:
            head.apply(entry)
        return head


_INFO_FIELDS = frozenset(SessionInfo.model_fields)


def cycle_count(metadata: Mapping[str, Any]) -> int | None:
    """The count that *metadata* keeps, if it is one."""
    count = metadata.get(CYCLE_COUNT)
    return count if type(count) is int and 0 <= count <= MOST_CYCLES else None


def gap(session_id: str, entry: Entry, expected: int) -> CorruptRecord:
    """What to say of an entry that does not follow on from the one before it."""
    text = f"entry {entry.seq} stands where entry {expected} should be"
    return CorruptRecord(text, place="journal", session_id=session_id)


def unreadable(session_id: str, entry: Entry) -> CorruptRecord:
    """What to say of an entry whose data is not what its type promises."""
    return CorruptRecord(f"{entry.type} cannot be read", place=f"entry {entry.seq}", session_id=session_id)


# --- what each type of entry does ---------------------------------------------------------------


def _created(head: Head, entry: Entry) -> None:
    data = entry.data
    head.owner = data.get("owner")
    head.metadata = frozen(data.get("metadata") or EMPTY)
    head.llm_config = frozen(data.get("llm_config") or EMPTY)
    head.config = frozen(data.get("config") or EMPTY)
    head.created_at = entry.at
    head.cycles = data["cycles"] if "cycles" in data else cycle_count(head.metadata) or 0


def _status(head: Head, entry: Entry) -> None:
    data = entry.data
    head.status = _STATUS[data["status"]]
    if "incarnation" in data:
        head.incarnation = data["incarnation"]
        head.error = None


def _failed(head: Head, entry: Entry) -> None:
    head.error = entry.data["error"]


def _added(head: Head, entry: Entry) -> None:
    head.message_count += 1
    head.characters += len(entry.data["content"])


def _cleared(head: Head, entry: Entry) -> None:
    head.message_count = head.characters = 0


def _updated(head: Head, entry: Entry) -> None:
    data = entry.data
    if data["part"] == "metadata":
        head.metadata = merged(head.metadata, data["patch"])
        head.version = data["version"]
        if CYCLE_COUNT in data["patch"]:
            count = cycle_count(head.metadata)
            head.cycles = head.cycles if count is None else count


def _turn_started(head: Head, entry: Entry) -> None:
    head.turn = entry.data["turn_id"]


def _turn_completed(head: Head, entry: Entry) -> None:
    head.turn = None
    head.cycles += 1


def _turn_over(head: Head, entry: Entry) -> None:
    head.turn = None


Fold = Callable[[Any, Entry], None]

_FOLDS: dict[str, Fold] = {
    str(type): fold
    for type, fold in {
        EventType.SESSION_CREATED: _created,
        EventType.SESSION_STATUS: _status,
        EventType.SESSION_FAILED: _failed,
        EventType.CONVERSATION_ADDED: _added,
        EventType.CONVERSATION_CLEARED: _cleared,
        EventType.CONTEXT_UPDATED: _updated,
        EventType.TURN_STARTED: _turn_started,
        EventType.TURN_COMPLETED: _turn_completed,
        EventType.TURN_FAILED: _turn_over,
        EventType.TURN_CANCELLED: _turn_over,
    }.items()
}
