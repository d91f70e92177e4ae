"""Why a session waits for a person, and whether a turn of it is open: as its journal says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jidoka.core.events import EventType
from jidoka.core.frozen import EMPTY

if TYPE_CHECKING:
    from jidoka.core.entries import Entry
    from jidoka.ports.store import Store

TURN_ENDS: Final = frozenset({EventType.TURN_COMPLETED, EventType.TURN_FAILED, EventType.TURN_CANCELLED})
_TURN: Final = TURN_ENDS | {EventType.TURN_STARTED}
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Halt:
    """What a `session_halted` says."""

    reason: str
    evidence: Mapping[str, Any] = EMPTY
    text: str = ""
    """What the model asks, or said before it was stopped."""
    is_question: bool = False
    """Whether the model itself has asked: then anything is an answer."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Halt:
        """From an event or an entry."""
        evidence: Mapping[str, Any] = data.get("evidence") or EMPTY
        reason = str(data.get("reason", ""))
        text = evidence.get("question") or data.get("text") or ""
        return cls(reason, evidence, str(text), data.get("asks") is True or reason == "model_asks")


async def last_halt(store: Store, session_id: str) -> Halt | None:
    """The newest one."""
    entry = await _newest(store, session_id, {EventType.SESSION_HALTED})
    return None if entry is None else Halt.of(entry.data)


async def open_turn(store: Store, session_id: str) -> str | None:
    """The id of the turn that has begun and not ended."""
    entry = await _newest(store, session_id, _TURN)
    return None if entry is None or entry.type in TURN_ENDS else str(entry.data.get("turn_id"))


async def _newest(store: Store, session_id: str, types: Collection[str]) -> Entry | None:
    head = await store.head(session_id)
    last = head.seq if head is not None else 0
    while last:
        first = max(last - _PAGE, 0)
        for entry in reversed(await store.read(session_id, after=first, limit=last - first)):
            if entry.type in types:
                return entry
        last = first
    return None
