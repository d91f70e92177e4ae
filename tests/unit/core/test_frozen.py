"""Frozen JSON: equal to what it was made of, and nobody changes it."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from jidoka.core.frozen import (
    EMPTY,
    FrozenDict,
    FrozenItems,
    FrozenList,
    JsonObject,
    JsonValue,
    freeze,
    frozen,
    joined,
    thaw,
)

VALUE: dict[str, Any] = {"a": [1, {"b": None}], "c": "text"}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.__setitem__("a", 1),
        lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({"a": 1}),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.setdefault("z", 1),
        lambda d: d.update(a=1),
        lambda d: d["a"].__setitem__(0, 1),
        lambda d: d["a"].__delitem__(0),
        lambda d: d["a"].__iadd__([1]),
        lambda d: d["a"].__imul__(2),
        lambda d: d["a"].append(1),
        lambda d: d["a"].extend([1]),
        lambda d: d["a"].insert(0, 1),
        lambda d: d["a"].remove(1),
        lambda d: d["a"].pop(),
        lambda d: d["a"].clear(),
        lambda d: d["a"].sort(),
        lambda d: d["a"].reverse(),
        lambda d: d["a"][1].update(b=1),
    ],
)
def test_every_change_is_refused(change: Callable[[Any], object]) -> None:
    value = frozen(VALUE)

    with pytest.raises(TypeError, match="cannot be changed"):
        change(value)

    assert value == VALUE


def test_it_equals_and_looks_like_what_it_was_made_of() -> None:
    value = frozen(VALUE)

    assert value == VALUE
    assert repr(value) == repr(VALUE)
    assert json.dumps(value) == json.dumps(VALUE)
    assert value | {"d": 1} == {**VALUE, "d": 1}
    assert hash(frozen({"b": 1, "a": 2})) == hash(frozen({"a": 2, "b": 1}))


def test_what_is_frozen_is_not_copied_again() -> None:
    value = frozen(VALUE)

    assert frozen(value) is value
    assert freeze(value["a"]) is value["a"]
    assert frozen({"in": value})["in"] is value
    assert frozen({}) is EMPTY


def test_two_lists_are_joined_to_one_that_nobody_changes() -> None:
    first = [1, 2]

    items = joined(first, [3])

    assert items == [1, 2, 3]
    assert first == [1, 2]
    with pytest.raises(TypeError):
        items.append(4)


def test_a_copy_can_be_changed() -> None:
    value = frozen(VALUE)

    for changeable in (dict(value), value.copy(), copy.copy(value)):
        changeable["d"] = 1
    for deep in (copy.deepcopy(value), thaw(value)):
        deep["a"][1]["b"] = 1
        deep["a"].append(2)
    shallow = copy.copy(value["a"])
    shallow.append(3)

    assert value == VALUE


def test_it_can_be_sent_to_another_process() -> None:
    value = pickle.loads(pickle.dumps(frozen(VALUE)))

    assert value == VALUE
    assert isinstance(value, FrozenDict)
    assert isinstance(value["a"], FrozenList)


def test_fields_of_models_are_frozen() -> None:
    class Model(BaseModel):
        object: JsonObject = EMPTY
        value: JsonValue = None
        items: FrozenItems[int] = FrozenList()

    model = Model.model_validate_json('{"object": {"a": [1]}, "value": [{}], "items": [1, 2]}')

    for change in (
        lambda: model.object["a"].append(1),
        lambda: model.value.append(1),
        lambda: model.items.append(1),
    ):
        with pytest.raises(TypeError):
            change()
    assert Model.model_validate_json(model.model_dump_json()) == model
    assert model.model_dump() == {"object": {"a": [1]}, "value": [{}], "items": [1, 2]}
