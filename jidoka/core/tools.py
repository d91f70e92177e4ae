"""What a tool is to a model, and what a call of one is told and comes to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeVar, cast

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import EMPTY, JsonObject
from jidoka.core.records import Record

T = TypeVar("T")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What providers take for the name of a tool."""
INVALID_JSON: Final = "INVALID_JSON"
"""The one argument of a call whose arguments were no JSON object: what they were, as text. No tool takes it."""
_MOST_NAMES: Final = 10


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


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How much room a house has for its tools. What a tool says of itself counts for more."""

    threads: int = 32
    """Calls of plain functions at the same time, of all sessions."""
    processes: int = 4
    """Calls in processes of their own at the same time."""
    hung: int = 8
    """Calls of one tool that were given up and go on nevertheless: with so many, it takes no more."""
    timeout: float = 60.0
    """Seconds that one call may take."""
    output: int = 262_144
    """Bytes of one result, as UTF-8."""


def chosen_names(llm_config: Mapping[str, Any]) -> tuple[str, ...]:
    """The tools that a session with *llm_config* lists. Raises InvalidMessage if that is not a list of names."""
    listed = llm_config.get("tools")
    if listed is None:
        return ()
    if isinstance(listed, list | tuple):
        names = cast("Sequence[Any]", listed)
        if all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
            return tuple(names)
    raise InvalidMessage("tools is a list of names of tools", field="tools")


def chosen_of(tools: Mapping[str, T], llm_config: Mapping[str, Any]) -> dict[str, T]:
    """Those of *tools* that are listed. Raises InvalidMessage for one that there is not, with the nearest."""
    names = chosen_names(llm_config)
    for name in names:
        if name not in tools:
            near = get_close_matches(name, tools, n=_MOST_NAMES) or list(tools)[:_MOST_NAMES]
            there_are = f"there are: {', '.join(near)}" if near else "there is none at all"
            raise InvalidMessage(f"no tool is called {name!r}; {there_are}", field="tools")
    return {name: tools[name] for name in names}
