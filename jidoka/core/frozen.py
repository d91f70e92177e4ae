"""JSON values that nobody can change: handed to everybody without a copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NoReturn, TypeVar, cast

from pydantic import AfterValidator

T = TypeVar("T")


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    kind = "dict" if isinstance(self, dict) else "list"
    raise TypeError(f"this {kind} cannot be changed; make a copy of it with {kind}(…)")


class FrozenDict(dict[str, Any]):
    """A dict that says no to every change. It equals, and prints as, the dict it was made of."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse  # pyright: ignore[reportAssignmentType]
    clear = pop = popitem = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(frozenset(self.items()))

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: thaw(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


class FrozenList(list[T]):
    """A list that says no to every change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # pyright: ignore[reportAssignmentType]
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse  # pyright: ignore[reportAssignmentType]

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(tuple(self))

    def __copy__(self) -> list[T]:
        return list(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> list[T]:
        return [thaw(item) for item in self]

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)


def joined(first: Iterable[T], more: Iterable[T]) -> FrozenList[T]:
    """All of both. The long one comes first: it is copied once."""
    items = FrozenList(first)
    super(FrozenList, items).extend(more)
    return items


EMPTY = FrozenDict()


def freeze(value: object) -> Any:
    """*value*, which is JSON, with everything in it frozen. What is frozen already is not copied."""
    kind = type(value)
    if kind is dict:
        return frozen(cast("dict[str, Any]", value))
    if kind is list or kind is tuple:
        return FrozenList(freeze(item) for item in cast("Iterable[Any]", value))
    return value


def frozen(value: Mapping[str, Any]) -> FrozenDict:
    """The same for an object."""
    if type(value) is FrozenDict:
        return value
    return FrozenDict({key: freeze(item) for key, item in value.items()}) if value else EMPTY


def thaw(value: Any) -> Any:
    """*value* as plain dicts and lists, to be changed."""
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [thaw(item) for item in cast("list[Any]", value)]
    return value


def _frozen_list(value: list[T]) -> list[T]:
    return value if isinstance(value, FrozenList) else FrozenList(value)


JsonObject = Annotated[dict[str, Any], AfterValidator(frozen)]
"""A field of a model: a JSON object, frozen."""
JsonValue = Annotated[Any, AfterValidator(freeze)]
FrozenItems = Annotated[list[T], AfterValidator(_frozen_list)]
"""A field of a model: a list, frozen. Its items are frozen by their own type."""
