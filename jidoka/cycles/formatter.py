"""What a model is told in a cycle, and what of its answer is to be done: bounded text without control characters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast

from pydantic import Field

from jidoka.core import checks
from jidoka.core.errors import InvalidMessage
from jidoka.core.frozen import EMPTY, JsonObject, JsonValue
from jidoka.core.records import Record

LONGEST: Final = 10_000
"""Characters of one message (seed 001)."""
LONGEST_LINE: Final = 500
MOST_LINES: Final = 5
"""So many findings are listed; of the others it is said how many there are."""
MOST_FIGURES: Final = 50
MOST_ACTIONS: Final = 10
_SHORTEST_ACTION: Final = 11
_CUT: Final = " … [cut]"

# C0 and C1 but for tab and line feed, halves of surrogate pairs, and the signs that turn the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_MUST = re.compile(r"\b(?:must|should)\b", re.IGNORECASE)
_ACTION = re.compile(r"\b(?:must|should|recommend\w*|need(?:s|ed)?|requir(?:e|es|ed))\b", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


class Observation(Record):
    """What was found at the beginning of a cycle."""

    title: str = "Observation"
    figures: JsonObject = EMPTY
    """What was measured, by name."""
    findings: tuple[str, ...] = ()
    """What is not as it should be, the most important first."""
    questions: tuple[str, ...] = ()
    facts: JsonValue = Field(default=None, repr=False)
    """What the next cycle's observation wants to compare with. The model is not shown it."""


class Summary(NamedTuple):
    """The beginning of a text."""

    text: str
    was_truncated: bool


class ActionItem(NamedTuple):
    """Something that an answer says is to be done."""

    text: str
    priority: Literal["high", "medium"]


def clean(text: str, *, most: int = LONGEST) -> str:
    """*text* without control characters, and at most so long, the mark of the cut included."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n"))
    if len(text) <= most:
        return text
    return text[: max(0, most - len(_CUT))] + _CUT[:most]


def summary(text: str, *, most: int = LONGEST_LINE) -> Summary:
    """The first *most* characters, and whether that is not all."""
    text = clean(text)
    return Summary(text[:most], len(text) > most)


def truncated(lines: Sequence[str], *, most: int = MOST_LINES) -> list[str]:
    """The first *most* lines, each bounded, and `+N more` if there are others."""
    shown = [_line(line) for line in lines[:most]]
    return [*shown, f"+{len(lines) - most} more"] if len(lines) > most else shown


def _line(text: str) -> str:
    return " ".join(clean(text, most=LONGEST_LINE).split())


def format_observation(observation: Observation | str, *, number: int, missed: int = 0, unknown: int = 0) -> str:
    """What the model is asked in cycle *number*: at most 10,000 characters, the same for the same observation.

    *missed* slots had no cycle, and so many cycles in a row before it are *unknown*: the model is told.
    """
    if isinstance(observation, str):
        return clean(observation) or "(nothing was observed)"
    blocks = [[f"{_line(observation.title)}, cycle {number}"], *_what_is_not_known(missed, unknown)]
    # What is most important comes first: the end is what is cut.
    findings = truncated(observation.findings)
    blocks.append([f"Findings ({len(observation.findings)}):", *(f"- {line}" for line in findings)])
    if observation.questions:
        blocks.append(["Questions:", *(f"- {line}" for line in truncated(observation.questions))])
    figures = [f"{_line(name)}: {_line(str(value))}" for name, value in observation.figures.items()]
    blocks.append(truncated(figures, most=MOST_FIGURES))
    return clean("\n\n".join("\n".join(block) for block in blocks if block))


def _what_is_not_known(missed: int, unknown: int) -> list[list[str]]:
    lines: list[str] = []
    if missed:
        lines.append(f"{missed} cycles before this one did not take place.")
    if unknown:
        lines.append(f"{unknown} cycles before this one had no answer.")
    return [lines] if lines else []


def unknown_text(number: int, reason: str, known_at: str | None) -> str:
    """What a cycle says that has no answer."""
    since = "ever" if known_at is None else f"since {known_at}"
    return f"UNKNOWN: cycle {number} has no answer ({reason}). Assume the worst: nothing has been known {since}."


def action_items(text: str) -> tuple[ActionItem, ...]:
    """Lines that say what must, should or needs to be done: the first ten."""
    found: list[ActionItem] = []
    for line in clean(text, most=checks.MAX_CONTENT).splitlines():
        words = _line(_BULLET.sub("", line))
        if len(words) >= _SHORTEST_ACTION and _ACTION.search(words):
            found.append(ActionItem(words, "high" if _MUST.search(words) else "medium"))
            if len(found) == MOST_ACTIONS:
                break
    return tuple(found)


def checked_message(message: Any) -> dict[str, str]:
    """A message as others hand it over, `role` and `content`, fit to be sent.

    Raises InvalidRole, and InvalidMessage for what has no text in it.
    """
    if not isinstance(message, Mapping):
        raise InvalidMessage(f"a message is an object, not {type(message).__name__}")
    found = cast("Mapping[str, Any]", message)
    role, content = checks.role(found.get("role")), found.get("content")
    if not isinstance(content, str):
        raise InvalidMessage(f"content is text, not {type(content).__name__}", field="content")
    return {"role": role, "content": checks.content(clean(content))}
