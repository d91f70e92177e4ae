"""What a tool is to a model, and what a call of one is told and comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jidoka.core.frozen import EMPTY, JsonObject
from jidoka.core.records import Record


class ToolSpec(Record):
    """What a model knows of a tool."""

    name: str
    description: str = ""
    parameters: JsonObject = EMPTY
    """The JSON schema of its arguments: of an object."""


@dataclass(frozen=True, slots=True)
class CallInfo:
    """What a call is told besides its arguments."""

    session_id: str
    turn_id: str
    call_id: str
    key: str
    """The same when the same call is made again after a crash: an idempotency key for what the tool calls itself."""
    is_repeat: bool = False
    """Whether a call with this key may have had its effect already: it was begun, and nobody knows how it ended."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """What came of a call: its result as text, or what went wrong."""

    outcome: Literal["ok", "error"]
    content: str
