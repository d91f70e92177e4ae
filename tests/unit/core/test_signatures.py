"""What a model is told of a function, and what the function gets."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import frozen
from jidoka.core.signatures import BadArguments, Signature
from jidoka.core.tools import INVALID_JSON, CallInfo

INFO = CallInfo("session_1", "turn_1", "call_1", "key_1")
NOTHING = object()


class Colour(Enum):
    RED = "red"


class Item(BaseModel):
    name: str
    colour: Colour = Colour.RED


@dataclass
class Point:
    x: int
    y: int = 0


def _refuse(value: str) -> str:
    raise RuntimeError("a validator of somebody's own")


def _leave(value: str) -> str:
    raise SystemExit(1)


def schema(function: Callable[..., Any]) -> dict[str, Any]:
    return Signature(function, "f").schema


def bound(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    return Signature(function, "f").bind(frozen(arguments), INFO)


def told(function: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(BadArguments) as caught:
        bound(function, **arguments)
    return str(caught.value)


def test_a_schema_has_names_types_defaults_and_descriptions() -> None:
    def look(
        city: Annotated[str, Field(description="where", min_length=1)],
        days: int = 3,
        unit: Literal["c", "f"] = "c",
        tags: list[str] | None = None,
    ) -> None: ...

    assert schema(look) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "where", "minLength": 1},
            "days": {"type": "integer", "default": 3},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
            "tags": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_schema_of_nothing_is_one_of_an_object() -> None:
    assert schema(lambda: None) == {"type": "object", "properties": {}, "additionalProperties": False}


def test_what_a_call_is_told_is_not_for_the_model() -> None:
    def look(info: CallInfo, city: str, again: Annotated[CallInfo, "as well"]) -> None: ...

    assert list(schema(look)["properties"]) == ["city"]
    assert bound(look, city="Rome") == {"city": "Rome", "info": INFO, "again": INFO}


def test_arguments_are_what_the_function_wants() -> None:
    def look(day: date, item: Item, point: Point, colours: set[Colour], model_config: int, schema: int) -> None: ...

    assert bound(
        look,
        day="2030-01-01",
        item={"name": "a"},
        point={"x": 1},
        colours=["red"],
        model_config=1,
        schema="2",
    ) == {
        "day": date(2030, 1, 1),
        "item": Item(name="a"),
        "point": Point(1),
        "colours": {Colour.RED},
        "model_config": 1,
        "schema": 2,
    }


def test_a_default_stays_the_functions_own() -> None:
    shared: list[int] = []

    def look(a: int = 1, b: list[int] = shared, c: Any = NOTHING, d: int = Field(4, description="four")) -> None: ...

    assert schema(look)["properties"]["d"] == {"type": "integer", "default": 4, "description": "four"}
    # A parameter whose default is a Field has none of its own.
    assert bound(look) == {"d": 4}
    assert bound(look, a=2, d=5) == {"a": 2, "d": 5}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["city: Field required", "takes city, days"]),
        ({"city": 7}, ["city: Input should be a valid string"]),
        ({"city": "x", "days": "many"}, ["days: Input should be a valid integer"]),
        ({"city": "x", "town": "y"}, ["town: Extra inputs are not permitted"]),
        ({"city": None, "days": []}, ["city: ", "days: "]),
        ({INVALID_JSON: "{"}, ["not a JSON object"]),
        ({INVALID_JSON: "{", "city": "x"}, [f"{INVALID_JSON}: Extra"]),
    ],
)
def test_bad_arguments_are_told_in_words_for_the_model(arguments: dict[str, Any], words: list[str]) -> None:
    def look(city: str, days: int = 1) -> None: ...

    said = told(look, **arguments)

    assert all(word in said for word in words), said


def test_what_is_told_is_short_and_does_not_quote() -> None:
    def look(**_: Any) -> None: ...

    def many(a: list[int]) -> None: ...

    said = told(many, a=["secret"] * 1_000)

    assert len(said) < 2_000
    assert "secret" not in said
    assert "(and 990 more)" in said
    assert told(many, **{"x" * 1_000: 1}).count("x") < 100


def test_a_validator_that_fails_in_its_own_way_is_bad_arguments() -> None:
    def look(a: Annotated[str, AfterValidator(_refuse)]) -> None: ...

    def see(a: Annotated[str, AfterValidator(_leave)]) -> None: ...

    assert "RuntimeError" in told(look, a="x")
    assert "SystemExit" in told(see, a="x")


def test_a_method_a_partial_and_an_object_can_be_called_too() -> None:
    class Shop:
        def sell(self, item: str) -> None: ...

        def __call__(self, price: int) -> None: ...

    def look(city: str, days: int) -> None: ...

    assert list(schema(Shop().sell)["properties"]) == ["item"]
    assert list(schema(Shop())["properties"]) == ["price"]
    assert schema(functools.partial(look, days=1))["required"] == ["city"]


class Unknown:
    """Nothing that JSON could be made into."""


def _starred(*names: str) -> None: ...
def _doubly_starred(**names: str) -> None: ...
def _by_place(a: int, /) -> None: ...
def _untyped(a) -> None: ...  # pyright: ignore
def _half_typed(a: int, b=1) -> None: ...  # pyright: ignore
def _unknown(a: Unknown) -> None: ...
def _callable(a: Callable[[], int]) -> None: ...
def _undefined(a: "Nowhere") -> None: ...  # noqa: F821  # pyright: ignore
def _deeply_undefined(a: "list[Nowhere]") -> None: ...  # noqa: F821  # pyright: ignore
def _maybe_told(info: CallInfo | None = None) -> None: ...
def _told_often(info: list[CallInfo]) -> None: ...
def _reserved(INVALID_JSON: str) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        *(_starred, _doubly_starred, _by_place, _untyped, _half_typed, _unknown, _callable),
        *(_undefined, _deeply_undefined, _reserved, _maybe_told, _told_often, dict, print),
    ],
)
def test_a_signature_that_no_model_could_call_is_refused_by_name(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidMessage, match="tool 'f'") as caught:
        Signature(function, "f")

    assert caught.value.field == "tools"
