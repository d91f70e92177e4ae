"""How many tokens a message takes: an estimate that needs no model, and what a provider's own figures say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from typing import Any, Final, Protocol, cast

from jidoka.core.messages import Message

# What is not text, such as an image, is not counted by its size: a picture of a megabyte takes about this much.
ATTACHMENT: Final = 1_000

# A provider's figure includes what is not in the conversation (instructions, schemas of tools). Below this it says
# more about those than about the counter.
_TELLING: Final = 50
_LEAST, _MOST = 0.25, 4.0


class TokenCounter(Protocol):
    """How many tokens a text takes. The same text takes the same number, each time."""

    def __call__(self, text: str, /) -> int: ...


def estimated_tokens(text: str) -> int:
    """Four bytes of UTF-8 are a token, and everything is at least one.

    For ASCII these are four characters; a Chinese character is three quarters of a token, an emoji a whole one.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return size // 4 or 1


def tokens_of(message: Message, counter: TokenCounter = estimated_tokens) -> int:
    """What *message* takes with all that goes to the model for it: content or its blocks, and the calls it makes."""
    metadata = message.metadata
    if not metadata:
        return counter(message.content) or 1
    blocks = metadata.get("content_blocks")
    if isinstance(blocks, list) and blocks:
        tokens = sum(_of_block(block, counter) for block in cast("list[Any]", blocks))
    else:
        tokens = counter(message.content)
    calls = metadata.get("tool_calls")
    if calls:
        tokens += counter(_as_json(calls))
    return tokens or 1


def _of_block(block: Any, counter: TokenCounter) -> int:
    if not isinstance(block, Mapping):
        return counter(_as_json(block))
    known = cast("Mapping[str, Any]", block)
    kind, text = known.get("type"), known.get("text")
    if kind == "text" and isinstance(text, str):
        return counter(text)
    if kind == "tool_result" and isinstance(known.get("content"), list):
        return sum(_of_block(inner, counter) for inner in cast("list[Any]", known["content"]))
    if kind in {"tool_use", "tool_result"}:
        return counter(_as_json(known))
    return ATTACHMENT


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def must_prune(tokens: int, threshold: float = 0.8, max_tokens: int = 120_000) -> bool:
    """Whether *tokens* are more than *threshold* of what there may be. Exactly as many is not more."""
    return tokens > threshold * max_tokens


def calibrated(factor: float, *, estimated: int, reported: int, weight: float = 0.3) -> float:
    """What to multiply a counter's figures with, now that a provider has reported its own for the same messages.

    *estimated* is what the counter had said, not multiplied. The answer moves from *factor* towards what the provider
    says, a step of *weight* at a time, and stays between a quarter and four: one strange report changes little.
    """
    if estimated < _TELLING or reported < _TELLING:
        return factor
    seen = min(max(reported / estimated, _LEAST), _MOST)
    return min(max(factor + weight * (seen - factor), _LEAST), _MOST)


def multiplied(tokens: int, factor: float) -> int:
    """*tokens* of a calibrated counter: never fewer than they are."""
    return tokens if factor == 1 else ceil(tokens * factor)
