"""Functions as tools: what is said about one where it is written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, cast, overload

from jidoka.core import checks
from jidoka.core.errors import InvalidMessage
from jidoka.core.tools import NAME

P = ParamSpec("P")
R = TypeVar("R")

Isolation = Literal["thread", "process"]

MOST_OUTPUT: Final = checks.MAX_CONTENT
MOST_SECONDS: Final = 86_400.0


class FunctionTool(Generic[P, R]):
    """A function with what is said about it as a tool. Called, it is still the function."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        isolation: Isolation = "thread",
        needs_approval: bool = False,
        timeout: float | None = None,
        max_output: int | None = None,
    ) -> None:
        self.function = function
        self.name = _checked_name(function, name)
        self.description = _description(function) if description is None else description
        self.isolation: Isolation = isolation
        self.needs_approval = needs_approval
        self.timeout = timeout
        self.max_output = max_output
        self._check()
        functools.update_wrapper(self, function)

    def __repr__(self) -> str:
        return f"<FunctionTool {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether it is run on the loop."""
        call = type(self.function).__call__
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(call)

    def _check(self) -> None:
        description, needs_approval = cast("Any", self.description), cast("Any", self.needs_approval)
        for field, is_right, what in (
            ("description", isinstance(description, str), "text"),
            ("isolation", self.isolation in ("thread", "process"), "thread or process"),
            ("needs_approval", isinstance(needs_approval, bool), "true or false"),
            ("timeout", _is_seconds(self.timeout), f"a number of seconds, {MOST_SECONDS:g} at most"),
            ("max_output", _is_size(self.max_output), f"a number of bytes, {MOST_OUTPUT} at most"),
        ):
            if not is_right:
                raise InvalidMessage(f"tool {self.name!r}: {field} is {what}", field=field)
        if self.description:
            checks.text(self.description, field="description")


@overload
def tool(fn: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    fn: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    isolation: Isolation = "thread",
    needs_approval: bool = False,
    timeout: float | None = None,
    max_output: int | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


@overload
def tool(
    fn: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    isolation: Isolation = "thread",
    needs_approval: bool = False,
    timeout: float | None = None,
    max_output: int | None = None,
) -> FunctionTool[P, R]: ...


def tool(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a tool of *fn*: `@tool`, `@tool(timeout=5)`, or `tool(fn, name="look")`.

    *name* and *description* are the function's own where nothing else is said. *isolation* is `process` for what may
    hang: each call has a process of its own, which is killed at its *timeout*. *needs_approval*: a person is asked
    before each call. *timeout* (seconds) and *max_output* (bytes) are those of the settings where nothing is said.
    """
    if fn is None:
        return functools.partial(FunctionTool[..., Any], **options)
    return FunctionTool(fn, **options)


def declared(item: Any) -> FunctionTool[..., Any]:
    """*item*, a function or one with something said about it, as a tool. Raises InvalidMessage."""
    return cast("FunctionTool[..., Any]", item) if isinstance(item, FunctionTool) else FunctionTool(item)


def _checked_name(function: Any, name: str | None) -> str:
    if not callable(function) or inspect.isclass(function):
        raise InvalidMessage(f"a tool is a function, not {_kind(function)}", field="tools")
    found = name if name is not None else getattr(function, "__name__", None)
    if not (isinstance(found, str) and NAME.fullmatch(found)):
        text = f"a tool's name has 1 to 64 letters, digits, _ and -; not {found!r:.80}: give it one by tool(name=…)"
        raise InvalidMessage(text, field="tools")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidMessage(f"tool {found!r}: it yields, and a tool returns its result", field="tools")
    return found


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _description(function: Any) -> str:
    # Of a partial, or of an object that can be called, this would be the text of its class.
    own = getattr(function, "__doc__", None)
    return inspect.cleandoc(own) if isinstance(own, str) and own != type(function).__doc__ else ""


def _is_seconds(value: Any) -> bool:
    return value is None or (type(value) in {int, float} and isfinite(value) and 0 < value <= MOST_SECONDS)


def _is_size(value: Any) -> bool:
    return value is None or (type(value) is int and 0 < value <= MOST_OUTPUT)
