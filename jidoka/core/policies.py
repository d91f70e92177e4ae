"""Which of its messages a session shows its model: the options under `context` in its `llm_config`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from jidoka.core.keywords import CRITICAL
from jidoka.core.options import Check, checked, one_of, part_or_none, texts, whole

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
        found = checked(options, _CHECKS, field="context")
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


_COUNT = whole(1, _MOST)

_CHECKS: dict[str, Check] = {
    "policy": one_of(*_RECENT),
    "recent": _COUNT,
    "keywords": texts("words", most=_MOST_WORDS, longest=_LONGEST_WORD),
    "max_tokens": _COUNT,
    "threshold": part_or_none,
    "counter": one_of(*_COUNTERS),
}

assert _CHECKS.keys() == {field.name for field in fields(ContextPolicy)}
