"""What a session's methods return: messages, files, the context, and how the session is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

from jidoka.core.frozen import EMPTY, FrozenItems, FrozenList, JsonObject
from jidoka.core.records import Record
from jidoka.core.status import SessionStatus
from jidoka.core.tools import ToolSpec

Role = Literal["user", "assistant", "system", "tool"]


class Message(Record):
    """One message of a conversation. `seq` is its entry in the session's journal."""

    id: str
    seq: int
    session_id: str
    role: Role
    content: str
    at: AwareDatetime
    metadata: JsonObject = EMPTY

    @property
    def created_at(self) -> datetime:
        """`at`, by the name that other systems use."""
        return self.at

    @property
    def timestamp(self) -> datetime:
        """`at`, by the name that other systems use."""
        return self.at


class SessionInfo(Record):
    """How a session is: what its journal says of it, without its content."""

    session_id: str
    status: SessionStatus
    version: int
    incarnation: int
    owner: str | None
    metadata: JsonObject
    llm_config: JsonObject
    config: JsonObject
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_activity_at: AwareDatetime
    message_count: int
    last_seq: int
    error: str | None = None

    @property
    def id(self) -> str:
        """`session_id`, as on a `Session`."""
        return self.session_id


class ActiveFile(Record):
    """A file that the session is working on."""

    path: str
    added_at: AwareDatetime


class Context(Record):
    """What the model sees. Parts that were not asked for are empty."""

    session_id: str
    conversation: FrozenItems[Message]
    files: FrozenItems[ActiveFile]
    file_index: JsonObject
    working_context: JsonObject
    metadata: JsonObject
    """conversation_count, active_file_count: of the session, not of the window. timestamp: when it was built.
    In a turn also estimated_tokens: what the conversation takes, by the session's counter."""
    tools: FrozenItems[ToolSpec] = FrozenList()
    """The tools that the model may use in this turn. Outside of a turn there are none."""


class ContextStats(Record):
    """How full the context is. Tokens are estimated: four characters each."""

    session_id: str
    message_count: int
    estimated_tokens: int
    context_percentage: float
    cycle_count: int
    """Turns completed, from the count on that the metadata's `cycle_count` was last set to."""
    active_file_count: int
    max_context_tokens: int
    saved_at: AwareDatetime | None = None
    """When the last entry was committed."""
