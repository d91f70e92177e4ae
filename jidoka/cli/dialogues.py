"""Dialogues to replay: read and checked as a whole before anything runs, and compared with what came out."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jidoka.core import checks
from jidoka.core.errors import InvalidMessage, JidokaError

GZIP_MAGIC = b"\x1f\x8b"

# Recorded dialogues have turns in which nothing was said. A message cannot be empty: this stands for it.
NOTHING_SAID = " "

Turn = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation of the input."""

    id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """How a stored history differs from its dialogue, in messages."""

    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    mixed: int = 0


def read_dialogues(path: Path) -> list[Dialogue]:
    """All dialogues of a JSON lines file, gzip or not. Raises InvalidMessage with the line, OSError."""
    raw = path.read_bytes()
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidMessage(f"{path}: not a whole gzip file: {error}") from error
    found = [_dialogue(path, number, line) for number, line in enumerate(raw.split(b"\n"), start=1) if line.strip()]
    if not found:
        raise InvalidMessage(f"{path}: there is no dialogue in it")
    return found


def _dialogue(path: Path, number: int, line: bytes) -> Dialogue:
    try:
        return _checked(json.loads(line))
    except (ValueError, RecursionError, JidokaError) as error:
        raise InvalidMessage(f"{path}, line {number}: {error}") from error


def _checked(value: Any) -> Dialogue:
    if not isinstance(value, dict) or "id" not in value or "turns" not in value:
        raise InvalidMessage('a dialogue is {"id": ..., "turns": [[role, text], ...]}')
    found = cast("dict[str, Any]", value)
    name = found["id"]
    if type(name) not in {str, int}:
        raise InvalidMessage("the id of a dialogue is text or a number")
    return Dialogue(str(name), tuple(_turns(found["turns"])))


def _turns(turns: Any) -> Iterable[Turn]:
    if not isinstance(turns, list) or not turns:
        raise InvalidMessage("turns must be a list that is not empty")
    for turn in turns:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(turn, list) or len(turn) != 2:  # pyright: ignore[reportUnknownArgumentType]
            raise InvalidMessage("a turn must be [role, text]")
        role, text = turn  # pyright: ignore[reportUnknownVariableType]
        checks.role(role)
        yield role, checks.content(text or NOTHING_SAID if isinstance(text, str) else text)


def compare(expected: Sequence[Turn], stored: Sequence[Turn]) -> Differences:
    """What became of *expected*. A message that is in no place of its own dialogue came from another: mixed."""
    if tuple(expected) == tuple(stored):
        return Differences()
    wanted, got = Counter(expected), Counter(stored)
    extra = got - wanted
    duplicated = sum(count for turn, count in extra.items() if turn in wanted)
    kept = wanted & got
    return Differences(
        lost=(wanted - got).total(),
        duplicated=duplicated,
        out_of_order=_out_of_order(expected, stored, kept),
        mixed=extra.total() - duplicated,
    )


def _out_of_order(expected: Sequence[Turn], stored: Sequence[Turn], kept: Counter[Turn]) -> int:
    """How many of the messages that are in both stand at another place among themselves."""
    return sum(one != other for one, other in zip(_only(expected, kept), _only(stored, kept), strict=True))


def _only(turns: Sequence[Turn], kept: Counter[Turn]) -> list[Turn]:
    left = Counter(kept)
    chosen: list[Turn] = []
    for turn in turns:
        if left[turn] > 0:
            left[turn] -= 1
            chosen.append(turn)
    return chosen
