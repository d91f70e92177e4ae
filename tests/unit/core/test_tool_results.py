"""What a tool returns or raises, as text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from jidoka.core.tool_results import ended, failed
from jidoka.core.tools import CallEnd


class Model(BaseModel):
    a: int


@dataclass
class Point:
    x: int


class Colour(Enum):
    RED = "red"


class Text(str):
    """Text of somebody's own kind."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def _endless() -> Iterator[int]:
    while True:
        yield 1


ROUND: list[Any] = []
ROUND.append(ROUND)
DEEP: list[Any] = []
for _ in range(10_000):
    DEEP = [DEEP]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (Text("mine"), "mine"),
        (None, "null"),
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "a", None], '[1,"a",null]'),
        ({"ä": (1, {2})}, '{"ä":[1,[2]]}'),
        (Model(a=1), '{"a":1}'),
        ([Model(a=1), Point(2)], '[{"a":1},{"x":2}]'),
        (Colour.RED, '"red"'),
        (datetime(2030, 1, 1, tzinfo=UTC), '"2030-01-01T00:00:00Z"'),
        ([Decimal("1.10"), Path("a/b")], '["1.10","a/b"]'),
        ("NaN", "NaN"),
        (["NaN"], '["NaN"]'),
        (["\0"], '["\\u0000"]'),
    ],
)
def test_text_is_as_it_is_and_anything_else_is_json(result: Any, text: str) -> None:
    assert ended(result, most=1_000) == CallEnd("ok", text)


@given(json_values)
def test_json_comes_back_as_it_went(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        assert ended(value, most=1_000_000).outcome == "error"
        return
    if "\0" in str(value) and isinstance(value, str):
        assert ended(value, most=1_000_000).outcome == "error"
        return

    end = ended(value, most=1_000_000)

    assert end.outcome == "ok"
    assert end.content == value if isinstance(value, str) else json.loads(end.content) == value


@pytest.mark.parametrize(
    "result",
    [
        *(object(), Point, print, [object()], {"a": object()}, {object(): 1}),
        *(float("nan"), [float("inf")], {"a": float("-inf")}),
        *(_endless(), iter([1]), ROUND, DEEP, b"\xff", "nul\0", "half \ud800", ["half \ud800"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_does_not_have_has_failed(result: Any) -> None:
    end = ended(result, most=1_000_000)

    assert end.outcome == "error"
    assert "result" in end.content
    end.content.encode()


async def _later() -> None: ...


def test_a_coroutine_that_nobody_awaited_is_closed() -> None:
    assert ended(_later(), most=100).outcome == "error"


@pytest.mark.parametrize("result", ["x" * 101, "ä" * 51, ["x" * 100], {"a": "ä" * 50}])
def test_what_is_longer_than_its_limit_has_failed_and_is_not_cut(result: Any) -> None:
    end = ended(result, most=100)

    assert end.outcome == "error"
    assert "100 are taken" in end.content


def test_the_limit_is_of_bytes_and_is_reached() -> None:
    assert ended("ä" * 50, most=100).outcome == "ok"
    assert ended("x" * 98, most=100).outcome == "ok"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("too hot"), "ValueError: too hot"),
        (KeyError(), "KeyError"),
        (SystemExit(3), "SystemExit: 3"),
        (Unprintable(), "Unprintable: unprintable"),
        (ValueError("nul\0 half \ud800"), "ValueError: nul\ufffd half ?"),
    ],
)
def test_an_error_is_told_by_its_name_and_its_words(error: BaseException, text: str) -> None:
    assert failed(error) == CallEnd("error", text)


def test_an_error_is_not_told_at_length() -> None:
    assert len(failed(ValueError("x" * 1_000_000)).content) < 3_000
