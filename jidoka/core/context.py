"""The window on a session that a model sees, and how full it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import EMPTY, FrozenDict, FrozenList
from jidoka.core.messages import Context, ContextStats, Message
from jidoka.core.policies import ContextPolicy
from jidoka.core.pruning import ESTIMATE, Meter, choose
from jidoka.core.records import trusted
from jidoka.core.state import SessionState
from jidoka.core.tally import Tally
from jidoka.core.timeline import Timeline
from jidoka.core.tokens import estimated_tokens

PARTS = ("conversation", "files", "file_index", "working_context")

_CONTEXT_FIELDS = frozenset(Context.model_fields)
_NOTHING: FrozenList[Any] = FrozenList()


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
    messages: Sequence[Message],
    *,
    max_messages: int | None = None,
    max_tokens: int | None = None,
    tally: Tally | None = None,
) -> Sequence[Message]:
    """The newest *messages*, in order, that fit both bounds. Nothing older is taken past one that does not.

    *tally* knows what they take; without one they are estimated.
    """
    start = 0 if max_messages is None else max(0, len(messages) - max(0, max_messages))
    if max_tokens is not None:
        start = (tally or _tally_of(messages)).reach(len(messages), start, max_tokens).start
    return messages[start:]


def _tally_of(messages: Sequence[Message]) -> Tally:
    tally = Tally(messages, estimated_tokens)
    tally.catch_up()
    return tally


def _conversation(
    state: SessionState, policy: ContextPolicy | None, meter: Meter, max_messages: int | None, max_tokens: int | None
) -> Sequence[Message]:
    if policy is None:
        room = None if max_tokens is None else meter.room(max_tokens)
        tally = state.timeline.tally(meter.counter) if room is not None else None
        return window(state.messages, max_messages=max_messages, max_tokens=room, tally=tally)
    timeline = state.timeline
    if max_messages is not None:
        timeline = Timeline(window(state.messages, max_messages=max_messages))
    return choose(timeline, policy, budget=max_tokens, meter=meter).messages


def _newest(items: Sequence[Any], count: int) -> Sequence[Any]:
    return items[max(0, len(items) - count) :] if count > 0 else ()


def build_context(
    state: SessionState,
    include: Collection[str] = PARTS,
    *,
    max_messages: int | None = None,
    max_files: int | None = None,
    max_tokens: int | None = None,
    policy: ContextPolicy | None = None,
    meter: Meter = ESTIMATE,
    shown: Sequence[Message] | None = None,
    tokens: int | None = None,
    now: datetime,
) -> Context:
    """What the model sees of *state*. A bound of zero, or less, leaves nothing. Raises InvalidMessage.

    Without a *policy* the conversation is its newest part. Whoever has chosen already what is *shown* says so, and
    may say how many *tokens* that takes.
    """
    _check_parts(include)
    if "conversation" not in include:
        shown = ()
    elif shown is None:
        shown = _conversation(state, policy, meter, max_messages, max_tokens)
    files = state.files if max_files is None else _newest(state.files, max_files)
    fields = {
        "session_id": state.session_id,
        "conversation": (shown if isinstance(shown, FrozenList) else FrozenList(shown)) if shown else _NOTHING,
        "files": FrozenList(files) if "files" in include else _NOTHING,
        "file_index": FrozenDict(state.file_index) if "file_index" in include else EMPTY,
        "working_context": FrozenDict(state.working) if "working_context" in include else EMPTY,
        "metadata": FrozenDict(
            conversation_count=state.message_count,
            active_file_count=len(state.files),
            timestamp=now.isoformat(),
            **({} if tokens is None else {"estimated_tokens": tokens}),
        ),
        "tools": _NOTHING,
    }
    return trusted(Context, _CONTEXT_FIELDS, fields)


def context_of(session_id: str, conversation: Sequence[Message], *, at: datetime) -> Context:
    """One with nothing but *conversation*."""
    fields: dict[str, Any] = {
        "session_id": session_id,
        "conversation": FrozenList(conversation),
        "files": _NOTHING,
        "file_index": EMPTY,
        "working_context": EMPTY,
        "metadata": FrozenDict(conversation_count=len(conversation), active_file_count=0, timestamp=at.isoformat()),
        "tools": _NOTHING,
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
