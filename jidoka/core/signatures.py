"""A function as a model sees it: its parameters as a JSON schema, and a call's arguments as what it wants."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from inspect import Parameter
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import to_json

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import frozen
from jidoka.core.tools import INVALID_JSON, CallInfo

_MOST_ERRORS: Final = 10
_MOST_SAID: Final = 200
_CONFIG: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)


class BadArguments(Exception):
    """What is wrong with a call's arguments, in words that the model can use."""


class _Schema(GenerateJsonSchema):
    """Without titles, which say nothing that the names do not; a default that JSON does not have is not told."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Signature:
    """What a function takes. Raises InvalidMessage for one that no model could call."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._infos: list[str] = []
        self._defaults: set[str] = set()
        fields: dict[str, Any] = {}
        for parameter in _parameters(function, name):
            if _bare(parameter.annotation) is CallInfo:
                self._infos.append(parameter.name)
            else:
                fields[f"p{len(fields)}"] = self._field(parameter)
        self._names = {field: fields[field][1].alias for field in fields}
        with _refusing(name):
            made: Any = create_model(name, __config__=_CONFIG, __module__=_module_of(function), **fields)
            self._model: type[BaseModel] = made
            self.schema = frozen(_schema_of(self._model))

    def _field(self, parameter: Parameter) -> tuple[Any, Any]:
        """Under a name that no parameter has, for a model's attributes have names of their own."""
        hint, default = parameter.annotation, parameter.default
        if isinstance(default, FieldInfo):
            hint = Annotated[hint, default]
        elif default is not Parameter.empty:
            self._defaults.add(parameter.name)
            own = Field(default, alias=parameter.name, validation_alias=parameter.name)
            return hint, own
        return hint, Field(alias=parameter.name, validation_alias=parameter.name)

    def bind(self, arguments: Mapping[str, Any], info: CallInfo) -> dict[str, Any]:
        """What to call the function with. Raises BadArguments."""
        if list(arguments) == [INVALID_JSON]:
            raise BadArguments("the arguments are not a JSON object")
        try:
            # As JSON, not as Python: a date is text here, a set is a list.
            given = self._model.model_validate_json(to_json(arguments))
        except ValidationError as error:
            problem = self._told(error)
        except (Exception, SystemExit) as error:
            # A validator of theirs.
            problem = f"the arguments cannot be read: {type(error).__name__}"
        else:
            return {**self._values(given), **dict.fromkeys(self._infos, info)}
        raise BadArguments(problem)

    def _values(self, given: BaseModel) -> dict[str, Any]:
        """A default is the function's own business: pydantic would hand in a copy."""
        told = given.model_fields_set
        return {
            name: getattr(given, field)
            for field, name in self._names.items()
            if field in told or name not in self._defaults
        }

    def _told(self, error: ValidationError) -> str:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        said = [f"{_place(each['loc'])}: {each['msg'][:_MOST_SAID]}" for each in found[:_MOST_ERRORS]]
        more = f" (and {len(found) - _MOST_ERRORS} more)" if len(found) > _MOST_ERRORS else ""
        takes = ", ".join(self._names.values()) or "no arguments"
        return f"the arguments do not fit: {'; '.join(said)}{more}. The tool takes {takes}."


@contextmanager
def _refusing(name: str) -> Generator[None]:
    """Whatever pydantic says of a signature that it cannot use, it is the signature that has to change."""
    try:
        yield
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        text = f"tool {name!r}: no JSON schema can be made of its parameters: {first[:_MOST_SAID]}"
        raise InvalidMessage(text, field="tools") from error


def _parameters(function: Callable[..., Any], name: str) -> list[Parameter]:
    with _refusing(name):
        found = list(inspect.signature(function, eval_str=True).parameters.values())
    for parameter in found:
        if parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD, Parameter.POSITIONAL_ONLY}:
            why = f"{parameter} cannot be given by name"
        elif parameter.annotation is Parameter.empty:
            why = f"the parameter {parameter.name!r} has no type"
        elif _bare(parameter.annotation) is not CallInfo and _mentions(parameter.annotation, CallInfo):
            # A model could say what it likes about the call.
            why = f"the parameter {parameter.name!r} is a CallInfo and nothing else, or none at all"
        elif parameter.name == INVALID_JSON:
            why = f"no parameter can be called {INVALID_JSON}"
        else:
            continue
        raise InvalidMessage(f"tool {name!r}: {why}", field="tools")
    return found


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _mentions(hint: Any, kind: type) -> bool:
    return hint is kind or any(_mentions(part, kind) for part in get_args(hint))


def _module_of(function: Any) -> str:
    return str(getattr(inspect.unwrap(function), "__module__", None) or __name__)


def _schema_of(model: type[BaseModel]) -> JsonSchemaValue:
    schema = model.model_json_schema(schema_generator=_Schema)
    schema.pop("title", None)
    return schema


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(step)[:40] for step in loc) or "arguments"
