"""The Agent Client Protocol, version 1, as far as a session needs it: what an agent's updates and questions mean.

The protocol's documentation: https://agentclientprotocol.com/protocol/overview.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from pydantic import ValidationError

from jidoka.core.chunks import Chunk, Question, Reply, ToolCall, ToolResult, Usage

VERSION: Final = 1
METHOD_NOT_FOUND: Final = -32601

INITIALIZE: Final = {
    "protocolVersion": VERSION,
    "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
    "clientInfo": {"name": "jidoka", "title": "jidoka", "version": "0"},
}

CANCELLED: Final = {"outcome": {"outcome": "cancelled"}}
INTERRUPTED: Final = "interrupted: there is no result"
_STARTED: Final = frozenset({"in_progress", "completed", "failed"})


def text_blocks(texts: list[str]) -> list[dict[str, str]]:
    """*texts* as the content of a prompt."""
    return [{"type": "text", "text": text} for text in texts]


def text_of(content: Any) -> str:
    """The text in a block of content. Pictures and sounds have none."""
    block = _object(content)
    text = block.get("text")
    return text if block.get("type") == "text" and isinstance(text, str) else ""


class ToolCalls:
    """The tools that an agent runs itself in one turn. Each call is told once, and gets one result."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}
        self._told_of: set[str] = set()
        # Told, and waiting for their result: their names.
        self._open: dict[str, str] = {}

    def updated(self, update: Mapping[str, Any]) -> Iterator[Chunk]:
        """What *update*, a `tool_call` or a `tool_call_update`, says that is new."""
        id = update.get("toolCallId")
        if not isinstance(id, str) or not id:
            return
        known = self._known.setdefault(id, {})
        known.update({name: value for name, value in update.items() if value is not None})
        status = known.get("status")
        # One that is pending may be told its input later.
        if status in _STARTED and id not in self._told_of:
            yield self._told(id, known)
        if status in {"completed", "failed"} and id in self._open:
            yield self._result(id, known)

    def asked(self, id: object) -> Mapping[str, Any]:
        """What is known of the call *id*."""
        return self._known.get(id, {}) if isinstance(id, str) else {}

    def closed(self) -> Iterator[Chunk]:
        """The turn is over: what was announced and not done is told, and what has no result gets one."""
        for id, known in self._known.items():
            if id not in self._told_of:
                yield self._told(id, known)
        for id, name in list(self._open.items()):
            yield Chunk(tool_result=ToolResult(call_id=id, name=name, error=INTERRUPTED))
        self._open.clear()

    def _told(self, id: str, known: dict[str, Any]) -> Chunk:
        name = name_of(known)
        self._told_of.add(id)
        self._open[id] = name
        return Chunk(tool_call=ToolCall(id=id, name=name, arguments=arguments_of(known)))

    def _result(self, id: str, known: Mapping[str, Any]) -> Chunk:
        name = self._open.pop(id)
        text = "\n".join(filter(None, (text_of(_object(item).get("content")) for item in _list(known.get("content")))))
        output = text or known.get("rawOutput")
        if known["status"] == "completed":
            return Chunk(tool_result=ToolResult(call_id=id, name=name, output=output))
        return Chunk(tool_result=ToolResult(call_id=id, name=name, error=str(output or "failed")))


def name_of(call: Mapping[str, Any]) -> str:
    """What the tool is called, or at least what kind it is of."""
    for field in ("name", "kind", "title"):
        if isinstance(call.get(field), str) and call[field]:
            return call[field]
    return "tool"


def arguments_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """What the tool is given. Where the agent does not say, what it says for people."""
    raw = call.get("rawInput")
    if isinstance(raw, dict):
        return cast("dict[str, Any]", raw)
    return {"input": raw} if raw is not None else {"title": str(call.get("title", ""))}


def question_of(call: Mapping[str, Any], options: Any) -> Question:
    """What a person is asked when the agent wants to be permitted *call*."""
    title = call.get("title")
    text = f"May the agent do this: {title}?" if isinstance(title, str) else f"May the agent use {name_of(call)}?"
    offered = [_object(option) for option in _list(options)]
    evidence = {
        "tool": name_of(call),
        "arguments": arguments_of(call),
        "options": [{name: str(option.get(name, "")) for name in ("optionId", "name", "kind")} for option in offered],
    }
    return Question(text=text, reason="permission", evidence=evidence)


def outcome_of(reply: Reply | None, options: Any) -> dict[str, Any]:
    """The answer to a request for permission: for this once, if there is the choice. No, if nothing offered fits."""
    wanted = (
        ("allow_once", "allow_always") if reply is not None and reply.approved else ("reject_once", "reject_always")
    )
    offered = [_object(option) for option in _list(options)]
    fitting = [option for kind in wanted for option in offered if option.get("kind") == kind]
    # A person may say which of them it is: by its id or its name.
    said = reply.text if reply is not None else None
    named = [option for option in fitting if said is not None and said in (option.get("optionId"), option.get("name"))]
    chosen = (named or fitting or [{}])[0].get("optionId")
    return {"outcome": {"outcome": "selected", "optionId": chosen}} if isinstance(chosen, str) else CANCELLED


def usage_of(result: Mapping[str, Any]) -> Usage | None:
    """What a prompt took, if the agent says."""
    told = _object(result.get("usage"))
    if not told:
        return None
    try:
        return Usage(
            input_tokens=told.get("inputTokens", 0),
            output_tokens=told.get("outputTokens", 0),
            cached_tokens=told.get("cachedReadTokens"),
        )
    except ValidationError:
        return None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
