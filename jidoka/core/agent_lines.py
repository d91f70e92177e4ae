"""JSON lines, and what they mean between jidoka and an agent process: our own small protocol, and JSON-RPC's frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, cast

from pydantic import ValidationError

from jidoka.core.agents import agent_failed
from jidoka.core.chunks import Chunk, Question, Reply, ToolCall, ToolResult, Usage

DONE: Final = "done"
ERROR: Final = "error"


def line_of(value: Mapping[str, Any]) -> bytes:
    """*value* as one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def object_of(line: bytes) -> dict[str, Any]:
    """The object that *line* is, with nothing in it that no store can keep. Raises TurnFailed for anything else."""
    try:
        value = json.loads(line.decode(), parse_float=_finite, parse_constant=_finite)
        value = _sound(value) if b"\\u" in line else value
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise agent_failed("agent_garbled", "a line that is not a JSON object")
    return cast("dict[str, Any]", value)


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _sound(value: Any) -> Any:
    """Escapes may say what is no text: NUL, and half a character."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_sound(name): _sound(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_sound(item) for item in cast("list[Any]", value)]
    return value


def prompt_line(news: list[str]) -> bytes:
    """What is new, and the question last."""
    return line_of({"type": "prompt", "text": news[-1], **({"before": news[0]} if news[1:] else {})})


def reply_line(reply: Reply | None) -> bytes:
    """What a person says. Nothing is no."""
    reply = reply or Reply(approved=False)
    return line_of({"type": "reply", "approved": reply.approved, "text": reply.text})


CANCEL: Final = line_of({"type": "cancel"})


def chunk_of(said: Mapping[str, Any]) -> Chunk | None:
    """The chunk that *said* is, if it is of a kind that we know. Raises TurnFailed if it is malformed."""
    kind = said.get("type")
    try:
        match kind:
            case "text":
                return Chunk(text=str(said["text"]))
            case "question":
                return Chunk(question=Question.model_validate(_without_type(said)))
            case "tool_call":
                return Chunk(tool_call=ToolCall.model_validate(_without_type(said)))
            case "tool_result":
                return Chunk(tool_result=ToolResult.model_validate(_without_type(said)))
            case "usage":
                return Chunk(usage=Usage.model_validate(_without_type(said)))
            case _:
                return None
    except (KeyError, ValidationError):
        failure = agent_failed("agent_garbled", f"a {kind} that is none")
    # Outside of the handler: what it sent may be anything, and would be quoted.
    raise failure


def _without_type(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "type"}
