"""Which of its messages a session shows its model: the options under `context` in its `llm_config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, cast

from jidoka.core.errors import InvalidMessage
from jidoka.core.keywords import CRITICAL

Name = Literal["budget", "recent", "smart", "summarise"]
Counter = Literal["estimate", "exact"]

# None: as many as there is room for.
_RECENT: Final[dict[str, int | None]] = {"budget": None, "recent": 50, "smart": 30, "summarise": None}
_COUNTERS: Final = ("estimate", "exact")
_MOST_WORDS: Final = 1_000
_LONGEST_WORD: Final = 100
_MOST: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """What a session says of its context. Whatever it says: the history stays as it is."""

    policy: Name = "budget"
    recent: int | None = None
    """So many of the newest messages, besides those that must not be lost. None: the policy's own number."""
    keywords: tuple[str, ...] = CRITICAL
    """Messages with one of these words are critical: they go before all that is routine."""
    max_tokens: int | None = None
    """The model's window. None: `max_context_tokens` of the settings."""
    threshold: float | None = None
    """The part of the window above which messages are left out. None: `context_prune_threshold` of the settings."""
    counter: Counter = "estimate"

    @classmethod
    def of(cls, options: Any) -> ContextPolicy:
        """What *options* say. Raises InvalidMessage, whose `field` is the option."""
        if options is None:
            return cls()
        if not isinstance(options, Mapping):
            raise InvalidMessage(f"context is an object, not {type(options).__name__}", field="context")
        found = dict(cast("Mapping[str, Any]", options))
        for name, value in found.items():
            check = _CHECKS.get(name)
            if check is None:
                known = ", ".join(_CHECKS)
                raise InvalidMessage(f"a context has the options {known}; not {name!r:.80}", field=f"context.{name}")
            check(f"context.{name}", value)
        if "keywords" in found:
            found["keywords"] = tuple(found["keywords"])
        return cls(**found)

    @property
    def most(self) -> int | None:
        """How many of the newest messages it shows; None for as many as there is room for."""
        return self.recent or _RECENT[self.policy]

    def room(self, max_context_tokens: int = 120_000, context_prune_threshold: float = 0.8) -> tuple[int, float]:
        """The window in tokens, and the part of it that may be used, where the settings say the rest."""
        window = max_context_tokens if self.max_tokens is None else self.max_tokens
        return window, context_prune_threshold if self.threshold is None else self.threshold


Check = Callable[[str, Any], None]


def _one_of(*names: str) -> Check:
    def check(field: str, value: Any) -> None:
        if not (isinstance(value, str) and value in names):
            raise InvalidMessage(f"{field} is {', '.join(names[:-1])} or {names[-1]}", field=field)

    return check


def _count_or_none(field: str, value: Any) -> None:
    if not (value is None or (type(value) is int and 1 <= value <= _MOST)):
        raise InvalidMessage(f"{field} is a whole number from 1 to {_MOST}, or null", field=field)


def _part_or_none(field: str, value: Any) -> None:
    if not (value is None or (type(value) in {int, float} and 0 < value <= 1)):
        raise InvalidMessage(f"{field} is a number, more than 0 and at most 1, or null", field=field)


def _words(field: str, value: Any) -> None:
    words = cast("list[Any]", value) if isinstance(value, list | tuple) else None
    if words is None or len(words) > _MOST_WORDS or not all(map(_is_word, words)):
        raise InvalidMessage(f"{field} is a list of up to {_MOST_WORDS} words", field=field)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) == len(value) <= _LONGEST_WORD


_CHECKS: dict[str, Check] = {
    "policy": _one_of(*_RECENT),
    "recent": _count_or_none,
    "keywords": _words,
    "max_tokens": _count_or_none,
    "threshold": _part_or_none,
    "counter": _one_of(*_COUNTERS),
}

assert _CHECKS.keys() == {field.name for field in fields(ContextPolicy)}
