"""What listeners hear: the entries of journals, and a few things that are only said and not stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime

from jidoka.core.entries import Entry, entry_id
from jidoka.core.frozen import EMPTY, JsonObject, frozen
from jidoka.core.records import Record, trusted


class EventType(StrEnum):
    """Everything there is to hear."""

    SESSION_CREATED = "session_created"
    SESSION_STATUS = "session_status"
    SESSION_IDLE = "session_idle"
    SESSION_RESUMED = "session_resumed"
    SESSION_SUSPENDED = "session_suspended"
    SESSION_TERMINATED = "session_terminated"
    SESSION_FAILED = "session_failed"
    SESSION_HALTED = "session_halted"
    CONVERSATION_ADDED = "conversation_added"
    CONVERSATION_CLEARED = "conversation_cleared"
    CONTEXT_PRUNED = "context_pruned"
    CONTEXT_UPDATED = "context_updated"
    FILE_ADDED = "file_added"
    FILE_REMOVED = "file_removed"
    TURN_STARTED = "turn_started"
    TURN_COMPLETED = "turn_completed"
    TURN_FAILED = "turn_failed"
    TURN_CANCELLED = "turn_cancelled"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    DECISION_RECORDED = "decision_recorded"
    CHILD_RESTARTED = "child_restarted"
    OUTPUT_RECEIVED = "output_received"
    TIMEOUT_WARNING = "timeout_warning"
    RESOURCE_WARNING = "resource_warning"
    GAP = "gap"


LIVE_ONLY = frozenset({EventType.OUTPUT_RECEIVED, EventType.TIMEOUT_WARNING, EventType.RESOURCE_WARNING, EventType.GAP})
"""These are told and not stored: their `seq` is None."""

GLOBAL_TYPES = frozenset(type for type in EventType if type.startswith("session_"))
"""What `client.global_events` carries: the lifecycle of every session."""

TYPES = frozenset(str(type) for type in EventType)

GLOBAL_TOPIC = "client.global_events"


def topic_of(session_id: str) -> str:
    """Where everything of one session is told."""
    return f"client.session.{session_id}"


class Event(Record):
    """Something that happened. `seq` is its entry in the session's journal; None if it was only told.

    `session_id` is empty on what concerns no single session: a gap in the feed of all sessions.
    """

    id: str
    seq: int | None
    type: str
    session_id: str
    at: AwareDatetime
    data: JsonObject = EMPTY
    correlation_id: str | None = None
    causation_id: str | None = None

    def cloudevent(self) -> dict[str, Any]:
        """As CloudEvents 1.0 wants it on a wire: a JSON object, without what is not there."""
        extensions = {
            "subject": self.session_id or None,
            "seq": self.seq,
            "correlationid": self.correlation_id,
            "causationid": self.causation_id,
        }
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/sessions/{self.session_id}" if self.session_id else "/sessions",
            "type": self.type,
            "time": self.at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            **{name: value for name, value in extensions.items() if value is not None},
            "data": self.data,
        }

    @classmethod
    def from_cloudevent(cls, document: Mapping[str, Any]) -> Event:
        """The event that `cloudevent()` made *document* of."""
        return cls(
            id=document["id"],
            seq=document.get("seq"),
            type=document["type"],
            session_id=document.get("subject", ""),
            at=document["time"],
            data=document.get("data", {}),
            correlation_id=document.get("correlationid"),
            causation_id=document.get("causationid"),
        )


_FIELDS = frozenset(Event.model_fields)


def event_of(session_id: str, entry: Entry) -> Event:
    """What listeners hear of *entry*."""
    fields = {
        "id": entry_id(session_id, entry),
        "seq": entry.seq,
        "type": str(entry.type),
        "session_id": session_id,
        "at": entry.at,
        "data": frozen(entry.data),
        "correlation_id": entry.correlation_id,
        "causation_id": entry.causation_id,
    }
    return trusted(Event, _FIELDS, fields)


def live_event(
    session_id: str,
    type: EventType,
    data: Mapping[str, Any],
    *,
    id: str,
    at: datetime,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> Event:
    """Something that is told and not stored."""
    fields = {
        "id": id,
        "seq": None,
        "type": str(type),
        "session_id": session_id,
        "at": at,
        "data": frozen(data),
        "correlation_id": correlation_id,
        "causation_id": causation_id,
    }
    return trusted(Event, _FIELDS, fields)
