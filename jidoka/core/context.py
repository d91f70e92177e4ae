"""The window on a session that a model sees, and how full it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import EMPTY, FrozenDict, FrozenList
from jidoka.core.messages import Context, ContextStats, Message
from jidoka.core.records import trusted
from jidoka.core.state import SessionState

PARTS = ("conversation", "files", "file_index", "working_context")

_CONTEXT_FIELDS = frozenset(Context.model_fields)
_NOTHING: FrozenList[Any] = FrozenList()


def estimated_tokens(content: str) -> int:
    """Four characters are a token, and everything is at least one."""
    return max(1, len(content) // 4)


def history(state: SessionState, *, after: int = 0, limit: int | None = None) -> list[Message]:
    """The messages after the journal's entry *after*, ascending; the newest *limit* of them."""
    messages = state.messages
    start = bisect_right(messages, after, key=_seq) if after else 0
    if limit is not None:
        start = max(start, len(messages) - limit)
    return list(messages[start:])


def _seq(message: Message) -> int:
    return message.seq


def window(
    messages: Sequence[Message], *, max_messages: int | None = None, max_tokens: int | None = None
) -> Sequence[Message]:
    """The newest *messages*, in order, that fit both bounds. Nothing older is taken past one that does not."""
    if max_messages is not None:
        messages = _newest(messages, max_messages)
    if max_tokens is None:
        return messages
    room, kept = max_tokens, 0
    for message in reversed(messages):
        room -= estimated_tokens(message.content)
        if room < 0:
            break
        kept += 1
    return _newest(messages, kept)


def _newest(items: Sequence[Any], count: int) -> Sequence[Any]:
    return items[max(0, len(items) - count) :] if count > 0 else ()


def build_context(
    state: SessionState,
    include: Collection[str] = PARTS,
    *,
    max_messages: int | None = None,
    max_files: int | None = None,
    max_tokens: int | None = None,
    now: datetime,
) -> Context:
    """What the model sees of *state*. A bound of zero, or less, leaves nothing. Raises InvalidMessage."""
    _check_parts(include)
    files = state.files if max_files is None else _newest(state.files, max_files)
    talk = window(state.messages, max_messages=max_messages, max_tokens=max_tokens)
    fields = {
        "session_id": state.session_id,
        "conversation": FrozenList(talk) if "conversation" in include else _NOTHING,
        "files": FrozenList(files) if "files" in include else _NOTHING,
        "file_index": FrozenDict(state.file_index) if "file_index" in include else EMPTY,
        "working_context": FrozenDict(state.working) if "working_context" in include else EMPTY,
        "metadata": FrozenDict(
            conversation_count=state.message_count,
            active_file_count=len(state.files),
            timestamp=now.isoformat(),
        ),
    }
    return trusted(Context, _CONTEXT_FIELDS, fields)


def _check_parts(include: Collection[str]) -> None:
    if isinstance(include, str) or not all(part in PARTS for part in include):
        raise InvalidMessage(f"a context has the parts {', '.join(PARTS)}; not {include!r}", field="include")


def context_stats(state: SessionState, *, max_context_tokens: int) -> ContextStats:
    """How full the context of *state* is."""
    tokens = state.characters // 4
    return ContextStats(
        session_id=state.session_id,
        message_count=state.message_count,
        estimated_tokens=tokens,
        context_percentage=round(100 * tokens / max_context_tokens, 2),
        cycle_count=state.cycles,
        active_file_count=len(state.files),
        max_context_tokens=max_context_tokens,
        saved_at=state.updated_at,
    )
