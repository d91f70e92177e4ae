"""JSON objects put together (RFC 7396) and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from jidoka.core.frozen import FrozenDict, freeze

Json = dict[str, Any]


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> FrozenDict:
    """*target* as *patch* wants it: None takes a member away, objects are merged, all else is replaced."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            present = result.get(name)
            base = cast("Json", present) if isinstance(present, dict) else {}
            result[name] = merged(base, cast("Json", value))
        else:
            result[name] = freeze(value)
    return FrozenDict(result)


def same_json(one: Any, other: Any) -> bool:
    """Whether both are the same JSON. Unlike Python, JSON does not take true for 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast("Json", one), cast("Json", other)
        return left.keys() == right.keys() and all(same_json(left[name], right[name]) for name in left)
    if isinstance(one, list) and isinstance(other, list):
        first, second = cast("list[Any]", one), cast("list[Any]", other)
        return len(first) == len(second) and all(map(same_json, first, second))
    return one == other


def has_members(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether *value* has every member of *wanted*, each the same."""
    return all(name in value and same_json(value[name], item) for name, item in wanted.items())
