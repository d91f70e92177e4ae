"""Conversations to choose from: written by hand, or made up by hypothesis."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from jidoka.core.messages import Message
from jidoka.core.tokens import TokenCounter, estimated_tokens, tokens_of

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

Said = tuple[str, str, dict[str, Any]]


def said(role: str, content: str, **metadata: Any) -> Said:
    return role, content, metadata


def conversation(*turns: Said | str) -> list[Message]:
    """Messages with the journal's seq 2, 3, 4 …; a text alone is a user's."""
    parts = [said("user", turn) if isinstance(turn, str) else turn for turn in turns]
    return [
        Message(id=f"m{seq}", seq=seq, session_id="session_1", role=role, content=content, at=NOON, metadata=metadata)
        for seq, (role, content, metadata) in enumerate(parts, start=2)
    ]


def calls(*ids: str, text: str = "let me see") -> Said:
    return said("assistant", text, tool_calls=[{"id": id, "name": "look", "arguments": {}} for id in ids])


def result(id: str, text: str = "found", **metadata: Any) -> Said:
    return said("tool", text, call_id=id, **metadata)


def contents(messages: Iterable[Message]) -> list[str]:
    return [message.content for message in messages]


def tokens(messages: Iterable[Message], counter: TokenCounter = estimated_tokens) -> int:
    return sum(tokens_of(message, counter) for message in messages)


# --- made up --------------------------------------------------------------------------------------

# One number is one text, so that hypothesis has little to draw.
TEXTS = st.integers(0, 8 * 60 - 1).map(
    lambda number: (
        "ab c字"[number % 5] * (1 + number // 8)
        + ["", "", "", "", "", "🎉", " error", " CRITICAL: it is down"][number % 8]
    )
)
PINS: Any = st.sampled_from([{}, {}, {}, {}, {"pinned": True}, {"pinned": "yes"}])
IN_BETWEEN = st.sampled_from([None, None, None, "user", "system"])
KINDS = st.sampled_from(
    ["user", "user", "assistant", "assistant", "system", "tools", "tools", "crosswise", "open", "stray", "plain tool"]
)


@st.composite
def exchanges(draw: st.DrawFn, kind: str, number: int) -> list[Said]:
    """Calls and their results: in order, crosswise, with somebody talking in between, or one unanswered."""
    ids = [f"call_{number}_{one}" for one in range(draw(st.integers(1, 3)))]
    asked = [calls(*ids, text=draw(TEXTS))]
    if kind == "crosswise":
        # Several messages with calls before the first answer.
        asked = [calls(id, text="and this") for id in ids]
        ids.reverse()
    elif kind == "open":
        del ids[0]
    answered = [result(id, draw(TEXTS), **draw(PINS)) for id in ids]
    between = draw(IN_BETWEEN)
    if between is not None:
        answered.insert(0, said(between, draw(TEXTS)))
    return [*asked, *answered]


@st.composite
def conversations(draw: st.DrawFn, most: int = 16) -> list[Message]:
    """Anything that may stand in a history."""
    turns: list[Said] = []
    for number, kind in enumerate(draw(st.lists(KINDS, max_size=most))):
        match kind:
            case "tools" | "crosswise" | "open":
                turns += draw(exchanges(kind, number))
            case "stray":
                turns.append(result(f"nobody_asked_{number}"))
            case "plain tool":
                turns.append(said("tool", draw(TEXTS)))
            case role:
                turns.append(said(role, draw(TEXTS), **draw(PINS)))
    return conversation(*turns)


def units(messages: Sequence[Message]) -> list[set[str]]:
    """The ids of messages of which a model must see all or none: a call and its results."""
    callers: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for message in messages:
        for call in message.metadata.get("tool_calls", ()):
            callers[call["id"]] = message.id
        caller = callers.pop(message.metadata.get("call_id", ""), None)
        if message.role == "tool" and caller is not None:
            found.setdefault(caller, {caller}).add(message.id)
    return list(found.values())


def strays(messages: Sequence[Message]) -> set[str]:
    """The ids of results that answer nothing."""
    answered = {id for unit in units(messages) for id in unit}
    return {
        message.id
        for message in messages
        if message.role == "tool" and "call_id" in message.metadata and message.id not in answered
    }
