"""A dialogue in pydantic-ai's words. Needs the extra `llm`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from jidoka.core.dialogue import Answered, Asked, Dialogue
from jidoka.core.frozen import thaw

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from jidoka.core.chunks import ToolResult
    from jidoka.core.endpoints import ModelOptions
    from jidoka.core.tools import ToolSpec

_UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9_-]")


def messages_of(dialogue: Dialogue) -> list[ModelMessage]:
    """Questions and answers in turn; what the system says is in front of the first."""
    messages = [_request(turn) if isinstance(turn, Asked) else _response(turn) for turn in dialogue.turns]
    first = messages[0]
    assert isinstance(first, ModelRequest)
    first.parts = [*(SystemPromptPart(text) for text in dialogue.system), *first.parts]
    return messages


def _request(asked: Asked) -> ModelRequest:
    parts: list[ModelRequestPart] = [
        ToolReturnPart(_name(result.name), _output(result), result.call_id) for result in asked.results
    ]
    parts.extend(UserPromptPart(text) for text in asked.texts)
    return ModelRequest(parts)


def _output(result: ToolResult) -> Any:
    return {"error": result.error} if result.error is not None else thaw(result.output)


def _response(answered: Answered) -> ModelResponse:
    parts: list[ModelResponsePart] = [TextPart(text) for text in answered.texts]
    parts.extend(ToolCallPart(_name(call.name), thaw(call.arguments), call.id) for call in answered.calls.values())
    return ModelResponse(parts)


def _name(name: str) -> str:
    """A model may have called what cannot be the name of a tool; its provider would not hear of it again."""
    return _UNNAMEABLE.sub("_", name)[:64]


def settings_of(options: ModelOptions) -> ModelSettings:
    """What a request is sent with. Nothing is tried twice but by us."""
    settings = ModelSettings(max_retries=0)
    if options.temperature is not None:
        settings["temperature"] = options.temperature
    if options.top_p is not None:
        settings["top_p"] = options.top_p
    if options.max_tokens is not None:
        settings["max_tokens"] = options.max_tokens
    if options.seed is not None:
        settings["seed"] = options.seed
    if options.stop is not None:
        settings["stop_sequences"] = list(options.stop)
    return settings


def parameters_of(options: ModelOptions, model: Model, tools: Sequence[ToolSpec]) -> ModelRequestParameters:
    """Which *tools* there are, and what form the answer has to have, for a *model* that can be told so."""
    functions = [_definition(spec) for spec in tools]
    if options.output_schema is None or not _takes_schemas(model):
        return ModelRequestParameters(function_tools=functions)
    wanted = OutputObjectDefinition(json_schema=thaw(options.output_schema), name="answer")
    return ModelRequestParameters(function_tools=functions, output_mode="native", output_object=wanted)


def _definition(spec: ToolSpec) -> ToolDefinition:
    parameters: dict[str, Any] = thaw(spec.parameters) or {"type": "object", "properties": {}}
    return ToolDefinition(name=spec.name, parameters_json_schema=parameters, description=spec.description or None)


def wishes_of(options: ModelOptions, model: Model) -> list[str]:
    """The same in words, for one that cannot."""
    if options.output_schema is None or _takes_schemas(model):
        return []
    schema = json.dumps(options.output_schema, ensure_ascii=False)
    return [f"Answer with JSON and nothing else, no code fence. It has to fit this schema:\n{schema}"]


def _takes_schemas(model: Model) -> bool:
    return bool(model.profile.get("supports_json_schema_output"))
