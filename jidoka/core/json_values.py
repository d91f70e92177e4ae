"""JSON from outside: looked at and frozen in one walk. What is wrong is named by its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple, cast

from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import EMPTY, FrozenDict, FrozenList


class Limits(NamedTuple):
    """How much one value may hold: levels, values of all kinds, characters in all."""

    depth: int
    values: int
    characters: int


DOOR: Final = Limits(depth=64, values=100_000, characters=1_000_000)
# What a journal may hold: all that came in through the doors, and what was put around it.
RECORD: Final = Limits(depth=80, values=1_000_000, characters=20_000_000)
# Python does not write larger ones as text without being asked.
MAX_BITS: Final = 4096

Place = tuple[Any, ...]


def json_object(value: Any, *, field: str, limits: Limits = DOOR) -> FrozenDict:
    """A JSON object with text for keys, or None for an empty one."""
    if value is None:
        return EMPTY
    if not isinstance(value, Mapping):
        raise InvalidMessage(f"{field} is an object, not {type(value).__name__}", field=field)
    if not value:
        return EMPTY
    return _Walk(field, limits).object(cast("Mapping[Any, Any]", value), (field,))


def json_value(value: Any, *, field: str) -> Any:
    """Anything that JSON can say."""
    return _Walk(field, DOOR).value(value, (field,))


def sound_text(value: str, field: str, place: str | None = None) -> str:
    """Text that every store can keep: without NUL, and without half a surrogate pair."""
    if "\0" in value:
        raise InvalidMessage(f"{place or field} contains a NUL character", field=field)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidMessage(f"{place or field} contains half a character", field=field) from error
    return value


# What is kept of an error's own words.
_MOST_WORDS: Final = 2_000


def words_of(error: BaseException) -> str:
    """The error's own words, as far as every store can keep them, even when its own `__str__` fails."""
    try:
        said = str(error)
    except BaseException:
        said = "unprintable"
    if len(said) > _MOST_WORDS:
        said = f"{said[:_MOST_WORDS]} …"
    return said.replace("\0", "\ufffd").encode(errors="replace").decode()


class _Walk:
    """One walk through one value. It counts, so that nothing is too large or goes round in circles."""

    __slots__ = ("characters", "field", "limits", "values")

    def __init__(self, field: str, limits: Limits) -> None:
        self.field = field
        self.limits = limits
        self.values = limits.values
        self.characters = limits.characters

    def value(self, value: object, place: Place) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(cast("str", value), place)
        if value is None or kind is bool:
            return value
        if kind is int or kind is float:
            return self.number(cast("float", value), place)
        return self.container(value, place)

    def container(self, value: Any, place: Place) -> Any:
        if isinstance(value, Mapping):
            return self.object(cast("Mapping[Any, Any]", value), place)
        if isinstance(value, list | tuple):
            return self.array(cast("Iterable[Any]", value), place)
        if isinstance(value, str):
            return self.text(str.__str__(value), place)
        if isinstance(value, int):
            return self.number(int(value), place)
        if isinstance(value, float):
            return self.number(float(value), place)
        raise self.refusal(place, f"is a {type(value).__name__}, which JSON does not have")

    def object(self, value: Mapping[Any, Any], place: Place) -> FrozenDict:
        self.enter(len(value), place)
        result: dict[str, Any] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                raise self.refusal(place, f"has the key {name!r:.40}, which is not text")
            inner = (*place, name)
            result[self.text(str.__str__(name), inner)] = self.value(item, inner)
        return FrozenDict(result)

    def array(self, value: Iterable[Any], place: Place) -> FrozenList[Any]:
        items = list(value)
        self.enter(len(items), place)
        return FrozenList([self.value(item, (*place, number)) for number, item in enumerate(items)])

    def enter(self, size: int, place: Place) -> None:
        self.values -= size
        if self.values < 0:
            raise self.refusal(place, f"has more than {self.limits.values} values in it")
        if len(place) > self.limits.depth:
            raise InvalidMessage(f"{self.field} is more than {self.limits.depth} levels deep", field=self.field)

    def text(self, value: str, place: Place) -> str:
        self.characters -= len(value)
        if self.characters < 0:
            raise InvalidMessage(f"{self.field} has more than {self.limits.characters} characters", field=self.field)
        if value.isascii() and "\0" not in value:
            return value
        return sound_text(value, self.field, _written(place))

    def number(self, value: float, place: Place) -> float:
        if isinstance(value, float):
            if not isfinite(value):
                raise self.refusal(place, f"is {value}, which JSON does not have")
        elif value.bit_length() > MAX_BITS:
            raise self.refusal(place, "is too large a number")
        return value

    def refusal(self, place: Place, what: str) -> InvalidMessage:
        return InvalidMessage(f"{_written(place)} {what}", field=self.field)


def _written(place: Place) -> str:
    first, *rest = place
    steps = (f"[{step}]" if isinstance(step, int) else f".{step[:40]}" for step in rest)
    return str(first) + "".join(steps)
