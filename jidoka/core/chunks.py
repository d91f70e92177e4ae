"""What a model says, piece by piece, and how it is set up."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, StrictStr

from jidoka.core.frozen import EMPTY, JsonObject, JsonValue
from jidoka.core.records import Record, trusted


class ToolCall(Record):
    """The model asks for a tool to be used."""

    id: str
    name: str
    arguments: JsonObject = EMPTY


class ToolResult(Record):
    """What came of a tool call."""

    call_id: str
    name: str
    output: JsonValue = None
    error: str | None = None


class Usage(Record):
    """What an answer took."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cached_tokens: int | None = Field(default=None, ge=0)
    """Those of the input that the provider had in its cache, if it says."""
    cost: float | None = Field(default=None, ge=0)

    @property
    def total_tokens(self) -> int:
        """In and out."""
        return self.input_tokens + self.output_tokens

    @property
    def is_nothing(self) -> bool:
        """Whether nobody has said of anything that it was used."""
        return not self.total_tokens and self.cached_tokens is None and self.cost is None

    def __add__(self, other: Usage) -> Usage:
        fields = {
            "input_tokens": self.input_tokens + other.input_tokens,
            "output_tokens": self.output_tokens + other.output_tokens,
            "cached_tokens": _sum(self.cached_tokens, other.cached_tokens),
            "cost": _sum(self.cost, other.cost),
        }
        return trusted(Usage, _USAGE_FIELDS, fields)


_USAGE_FIELDS = frozenset(Usage.model_fields)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


class Question(Record):
    """The model wants to know something from a person before it goes on. The line stops until there is a reply."""

    text: str
    reason: str = "model_asks"
    """What `session_halted` gives as its reason …"""
    evidence: JsonObject = EMPTY
    """… and as its evidence, beside the text."""


class Reply(Record):
    """What a person says to a question."""

    approved: bool
    text: str | None = None
    """What came through `send_input`. None for a mere decision."""


class Chunk(Record):
    """One piece of an answer: text, a tool call, a tool result, usage, or a question.

    A model that asks is an async generator, and gets the `Reply` as the value of its `yield`.
    """

    text: str = ""
    tool_call: ToolCall | None = None
    tool_result: ToolResult | None = None
    usage: Usage | None = None
    question: Question | None = None


class LLMConfig(Record):
    """Which model answers, and what it is told. A model may know other options: they are kept as they are."""

    model_config = ConfigDict(extra="allow")

    model: StrictStr = Field(default="echo", min_length=1, max_length=255)

    @property
    def options(self) -> dict[str, Any]:
        """What is set besides the model's name."""
        return dict(self.__pydantic_extra__ or {})
