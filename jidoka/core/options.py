"""Options that come in as one JSON object, each looked at by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from jidoka.core.errors import InvalidMessage

# Given the option's field and what it was set to. Raises InvalidMessage.
Check = Callable[[str, Any], None]


def checked(options: Any, checks: Mapping[str, Check], *, field: str) -> dict[str, Any]:
    """A copy of *options*, which stand under *field*. Raises InvalidMessage, whose `field` is the one at fault."""
    if not isinstance(options, Mapping):
        raise InvalidMessage(f"{field} takes an object, not {type(options).__name__}", field=field)
    found = dict(cast("Mapping[str, Any]", options))
    for name, value in found.items():
        check = checks.get(name)
        if check is None:
            known = ", ".join(checks)
            raise InvalidMessage(f"{field} has the options {known}; not {name!r:.80}", field=f"{field}.{name}")
        check(f"{field}.{name}", value)
    return found


def one_of(*names: str) -> Check:
    """One of these words."""

    def check(field: str, value: Any) -> None:
        if not (isinstance(value, str) and value in names):
            raise InvalidMessage(f"{field} is {', '.join(names[:-1])} or {names[-1]}", field=field)

    return check


def whole(least: int, most: int, *, is_optional: bool = True) -> Check:
    """A whole number between bounds, or null if it is optional."""

    def check(field: str, value: Any) -> None:
        if is_optional and value is None:
            return
        if type(value) is not int or not least <= value <= most:
            also = ", or null" if is_optional else ""
            raise InvalidMessage(f"{field} is a whole number from {least} to {most}{also}", field=field)

    return check


def part_or_none(field: str, value: Any) -> None:
    """A part of something, but not nothing of it; or null."""
    if not (value is None or (type(value) in {int, float} and 0 < value <= 1)):
        raise InvalidMessage(f"{field} is a number, more than 0 and at most 1, or null", field=field)


def texts(what: str, *, most: int, longest: int) -> Check:
    """A list of *what*: texts that say something, without blanks around them."""

    def is_one(value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value.strip()) == len(value) <= longest

    def check(field: str, value: Any) -> None:
        found = cast("list[Any]", value) if isinstance(value, list | tuple | set | frozenset) else None
        if found is None or len(found) > most or not all(map(is_one, found)):
            raise InvalidMessage(f"{field} is a list of up to {most} {what}", field=field)

    return check
