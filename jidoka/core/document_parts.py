"""What the readers of all kinds of documents share."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from jidoka.core import checks
from jidoka.core.errors import CorruptRecord, InvalidSessionId, JidokaError

Draft = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Document:
    """What an imported session begins with."""

    session_id: str | None
    data: dict[str, Any]
    drafts: tuple[Draft, ...]


@contextmanager
def reading(place: str) -> Generator[None]:
    """Whatever is wrong in here is wrong at *place*."""
    try:
        yield
    except KeyError as error:
        raise CorruptRecord(f"{error} is missing", place=place) from error
    except (JidokaError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptRecord(f"cannot be read: {error}", place=place) from error


def id_or_none(value: Any) -> str | None:
    """*value*, if a session can be called that."""
    try:
        return checks.session_id(value)
    except InvalidSessionId:
        return None


def text_of(content: Any) -> str:
    """What a message says whose content is text, or a list of blocks: then the text in them, or else all there is."""
    if isinstance(content, str):
        return content
    blocks = cast("list[Mapping[str, Any]]", content)
    texts = [str(block["text"]) for block in blocks if block["type"] == "text"]
    return "\n".join(texts) or json.dumps(blocks)
