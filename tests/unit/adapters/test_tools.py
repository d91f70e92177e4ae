"""What can be said about a tool, and what is refused."""

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from jidoka.adapters.tools import FunctionTool, declared, tool
from jidoka.core.errors import InvalidMessage
from tests.unit.adapters import tools_at_hand
from tests.unit.adapters.toolkit import a_box


def look(city: str) -> str:
    """Look at a city.

    From above.
    """
    return f"{city} is there"


async def wait(seconds: float) -> None: ...


def yields() -> Iterator[int]:
    yield 1


async def yields_later() -> AsyncIterator[int]:
    yield 1


class Thing:
    """What it is."""

    def __call__(self, a: int) -> int:
        return a

    def method(self, a: int) -> int:
        return a


def test_a_function_is_known_by_its_name_and_its_docstring() -> None:
    found = declared(look)

    assert (found.name, found.description) == ("look", "Look at a city.\n\nFrom above.")
    assert (found.isolation, found.needs_approval, found.is_async) == ("thread", False, False)
    assert declared(wait).is_async
    assert declared(wait).description == ""
    assert declared(found) is found


def test_a_decorated_function_is_still_the_function() -> None:
    plain = tool(look)
    named = tool(name="see", description="See it.", timeout=5, max_output=10, needs_approval=True)(look)

    assert plain("Rome") == named("Rome") == "Rome is there"
    assert (plain.__name__, plain.__doc__) == (look.__name__, look.__doc__)
    assert (named.name, named.description, named.timeout, named.max_output) == ("see", "See it.", 5, 10)
    assert named.needs_approval
    assert tool(look, name="see").name == "see"


async def test_a_model_is_told_what_is_said() -> None:
    box = a_box(look, tool(look, name="see", description="", needs_approval=True), Thing().method)

    tools = box.chosen({"tools": ["see", "look", "method"]})

    assert [(name, each.spec.name, each.needs_approval) for name, each in tools.items()] == [
        ("see", "see", True),
        ("look", "look", False),
        ("method", "method", False),
    ]
    assert tools["look"].spec.description == "Look at a city.\n\nFrom above."
    assert tools["see"].spec.description == ""
    assert tools["see"].spec.parameters["required"] == ["city"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        *(({"name": name}, "tools") for name in ("", "a b", "ü", "x" * 65, "a.b", 7, "a\n")),
        *(({"isolation": bad}, "isolation") for bad in ("", "fork", None)),
        *(({"timeout": bad}, "timeout") for bad in (0, -1, float("nan"), float("inf"), "5", True, 10**9)),
        *(({"max_output": bad}, "max_output") for bad in (0, -1, 1.5, "5", True, 10**9)),
        *(({"needs_approval": bad}, "needs_approval") for bad in (None, 1, "yes")),
        *(({"description": bad}, "description") for bad in (7, "nul\0", "half \ud800", "x" * 10_001)),
    ],
)
def test_a_bad_option_is_refused_where_it_is_said(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        tool(look, **options)

    assert caught.value.field == field


@pytest.mark.parametrize(
    "thing",
    [None, 7, "look", Thing, Thing(), functools.partial(look, "Rome"), lambda: 1, yields, yields_later],
    ids=repr,
)
def test_what_is_no_function_or_has_no_name_is_no_tool(thing: Any) -> None:
    with pytest.raises(InvalidMessage):
        declared(thing)


def test_what_has_no_name_can_be_given_one() -> None:
    assert tool(Thing(), name="thing").description == ""
    assert tool(functools.partial(look, "Rome"), name="rome").description == ""
    assert tool(lambda: 1, name="one")() == 1


async def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidMessage, match="two tools are called 'look'"):
        a_box(look, tool(look))


@pytest.mark.parametrize("tools", ["look", None, 7, {"look": look}, look])
async def test_tools_are_a_list(tools: Any) -> None:
    with pytest.raises(InvalidMessage, match="list of functions"):
        type(a_box())(tools, limits=a_box().limits, world=a_box().world)


def decorated(a: int) -> int:
    return a


def _local() -> Any:
    def inside(a: int) -> int:
        return a

    return inside


class Shop:
    @staticmethod
    def sell(a: int) -> int:
        return a


@pytest.mark.parametrize(
    "function",
    [
        _local(),
        Thing().method,
        Thing(),
        functools.partial(look, city="x"),
        lambda: 1,
        functools.wraps(look)(decorated),
    ],
    ids=["local", "method", "object", "partial", "lambda", "not the one of that name"],
)
async def test_a_process_needs_a_function_that_it_can_find(function: Any) -> None:
    with pytest.raises(InvalidMessage, match="top of a module"):
        a_box(tool(function, name="f", isolation="process"))


async def test_a_process_finds_functions_and_static_methods() -> None:
    box = a_box(tools_at_hand.add, tool(look, isolation="process"), tool(Shop.sell, isolation="process"))

    assert len(box) == 3
    assert isinstance(tools_at_hand.add, FunctionTool)
    assert tools_at_hand.add(1) == 3
