"""JSON from outside: what is right comes back equal and frozen, what is wrong is named by its place."""

import json
import math
from collections import OrderedDict
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import EMPTY, FrozenDict, FrozenList
from jidoka.core.json_values import DOOR, RECORD, Limits, json_object, json_value

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_json_comes_back_equal(value: dict[str, Any]) -> None:
    checked = json_object(value, field="metadata")

    assert checked == value
    assert json.loads(json.dumps(checked)) == value
    assert isinstance(checked, FrozenDict)


def test_what_comes_back_is_nobody_elses() -> None:
    inner = {"list": [1, {"deep": 2}]}
    value = {"inner": inner}

    checked = json_object(value, field="metadata")
    inner["list"].append(3)
    value["more"] = {}

    assert checked == {"inner": {"list": [1, {"deep": 2}]}}
    with pytest.raises(TypeError):
        checked["inner"]["list"].append(3)
    with pytest.raises(TypeError):
        checked["inner"]["list"][1]["deep"] = 3


def test_nothing_is_an_empty_object() -> None:
    assert json_object(None, field="metadata") is EMPTY
    assert json_object({}, field="metadata") is EMPTY


def test_other_mappings_sequences_and_subclasses_become_plain() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Size(IntEnum):
        BIG = 3

    value = MappingProxyType({"a": OrderedDict(b=(1, 2)), Colour.RED: Colour.RED, "size": Size.BIG})

    checked = json_object(value, field="metadata")

    assert checked == {"a": {"b": [1, 2]}, "red": "red", "size": 3}
    assert [type(key) for key in checked] == [str] * 3
    assert (type(checked["red"]), type(checked["size"])) == (str, int)
    assert isinstance(checked["a"]["b"], FrozenList)
    assert json.dumps(checked) == '{"a": {"b": [1, 2]}, "red": "red", "size": 3}'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "metadata is an object"),
        ("text", "metadata is an object"),
        (3, "metadata is an object"),
        ({"a": math.nan}, "metadata.a is nan"),
        ({"a": [1, {"b": math.inf}]}, "metadata.a[1].b is inf"),
        ({"a": {1: 2}}, "metadata.a has the key 1"),
        ({None: 1}, "metadata has the key None"),
        ({"a": {"b": {1, 2}}}, "metadata.a.b is a set"),
        ({"a": [b"bytes"]}, "metadata.a[0] is a bytes"),
        ({"a": datetime(2030, 1, 1, tzinfo=UTC)}, "metadata.a is a datetime"),
        ({"a": object()}, "metadata.a is a object"),
        ({"a": 1j}, "metadata.a is a complex"),
        ({"a": ["ok", "no\0"]}, "metadata.a[1] contains a NUL"),
        ({"a": "\ud800"}, "metadata.a contains half a character"),
        ({"\udfff": 1}, "contains half a character"),
        ({"no\0": 1}, "contains a NUL"),
        ({"a": 1 << 5000}, "metadata.a is too large a number"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        json_object(value, field="metadata")

    assert said in str(caught.value)
    assert caught.value.field == "metadata"


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_depth_has_a_bound() -> None:
    assert json_object(nested(64), field="metadata") == nested(64)
    for depth in (65, 900):
        with pytest.raises(InvalidMessage, match="64 levels"):
            json_object(nested(depth), field="metadata")


def test_what_goes_round_in_circles_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = [circle] * 10

    with pytest.raises(InvalidMessage, match="levels"):
        json_object(circle, field="metadata")


def test_size_has_a_bound() -> None:
    json_object({"a": list(range(99_999))}, field="metadata")
    with pytest.raises(InvalidMessage, match="100000 values"):
        json_object({"a": list(range(100_000))}, field="metadata")
    json_object({"a": "x" * 999_999}, field="metadata")
    with pytest.raises(InvalidMessage, match="1000000 characters"):
        json_object({"a": "x" * 1_000_000}, field="metadata")
    with pytest.raises(InvalidMessage, match="characters"):
        json_object({"a": ["x" * 300_000] * 4}, field="metadata")


def test_a_record_may_hold_all_that_came_through_the_doors() -> None:
    assert all(most > door for most, door in zip(RECORD, DOOR, strict=True))
    json_object(nested(65), field="data", limits=RECORD)
    with pytest.raises(InvalidMessage):
        json_object(nested(3), field="data", limits=Limits(2, 10, 10))


@given(JSON)
def test_a_value_may_be_anything_that_json_can_say(value: Any) -> None:
    checked = json_value(value, field="value")

    assert checked == value
    assert type(checked) is not dict
    assert type(checked) is not list


def test_true_stays_true_and_one_stays_one() -> None:
    checked = json_object({"yes": True, "one": 1, "point": 1.0}, field="metadata")

    assert [type(value) for value in checked.values()] == [bool, int, float]


def test_a_refusal_is_quick_and_short() -> None:
    with pytest.raises(InvalidMessage) as caught:
        json_object({"k" * 10_000: {"x" * 10_000: {1}}}, field="metadata")

    assert len(str(caught.value)) < 300
