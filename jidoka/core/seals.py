"""A digest in a document of the document's rest: what has changed since it was written is noticed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from jidoka.core.errors import CorruptRecord

SEAL: Final = "sha256"

# 1.0, which other languages write as 1. Also found in text, where it does no harm.
_WHOLE: Final = re.compile(r"[\[:,]-?\d+(\.0(?!\d)|(\.\d+)?e)")
# The largest number up to which all of them agree on what is whole.
_EXACT: Final = 2**53


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """*document*, which is JSON, with its seal."""
    return {**document, SEAL: seal_of(document)}


def seal_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of the document without its seal, written in one way: names in order, no spaces, ASCII, 1.0 as 1.

    It means the same in every version of every format, so that a damaged document can be told from a newer one.
    """
    # Most programs never ask, and OpenSSL takes its time to load.
    from hashlib import sha256

    rest = {name: value for name, value in document.items() if name != SEAL}
    text = _written(rest)
    if _WHOLE.search(text):
        text = _written(json.loads(text, parse_float=_number))
    return sha256(text.encode("ascii")).hexdigest()


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def check_seal(document: Mapping[str, Any]) -> None:
    """Raises CorruptRecord if there is a seal, and it is not this document's."""
    if SEAL not in document:
        return
    try:
        is_whole = document[SEAL] == seal_of(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptRecord(f"cannot be checked: {error}", place=SEAL) from error
    if not is_whole:
        raise CorruptRecord("the document is not as it was written", place=SEAL)
