"""Which messages are critical, judged by the words that stand in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

# The list of seed 001, as its code has it.
CRITICAL: Final = (
    *("critical", "escalation", "failed", "error", "down", "outage"),
    *("severe", "major", "p0", "p1", "crash", "oom", "crashed"),
)


@lru_cache(maxsize=64)
def finder(words: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether one of *words* stands in a text as a whole word, in capitals or not.

    A word ends where no Latin letter, digit or `_` follows: `error` is in `服务器error了` and not in `terrors`.
    """
    lowered = tuple(word.lower() for word in words)
    choice = "|".join(re.escape(word) for word in sorted(lowered, key=len, reverse=True))
    search = re.compile(f"(?<![a-z0-9_])(?:{choice})(?![a-z0-9_])").search

    def is_in(text: str) -> bool:
        text = text.lower()
        # Most texts have none of the words, not even inside of others, and that is quickly seen.
        for word in lowered:
            if word in text:
                return search(text) is not None
        return False

    return is_in
