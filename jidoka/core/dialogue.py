"""A conversation as providers accept it: what the system says, then question and answer in turn.

Providers refuse what they do not expect: an answer first, two in a row, nothing at all, a tool's result without its
call or a call without its result. A history may have all of these. Nothing that was said is left out here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError

from jidoka.core.chunks import ToolCall, ToolResult
from jidoka.core.frozen import freeze
from jidoka.core.messages import Context, Message

BEGINNING: Final = "(The conversation begins with an answer.)"
GO_ON: Final = "(Go on.)"
Pair = tuple[str | None, str]
"""What a call and its result have in common: the turn's id, if there is one, and the call's."""

INTERRUPTED: Final = "interrupted: there is no result"


@dataclass(slots=True)
class Asked:
    """What is said to the model: results of the tools that it called, then texts."""

    results: list[ToolResult] = field(default_factory=list[ToolResult])
    texts: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Answered:
    """What the model said: texts, then the tools that it called."""

    texts: list[str] = field(default_factory=list[str])
    calls: dict[Pair, ToolCall] = field(default_factory=dict[Pair, ToolCall])
    """By their turn and their id in the history; the ids that a provider hears may be others."""


T = TypeVar("T", Asked, Answered)


@dataclass(slots=True)
class Dialogue:
    """`turns` begins and ends with an `Asked`, they alternate, and each call has its result in the next one."""

    system: list[str]
    turns: list[Asked | Answered]


def dialogue_of(context: Context) -> Dialogue:
    """What a model is told of *context*.

    An assistant's message may have `tool_calls` (id, name, arguments) in its metadata, a tool's message the `call_id`
    that it answers; both may have a `turn_id`. A tool's message that answers nothing is told as a text.
    """
    dialogue = Dialogue([], [])
    for message in context.conversation:
        _add(dialogue, message)
    turns = dialogue.turns
    if turns and isinstance(turns[0], Answered):
        turns.insert(0, Asked(texts=[BEGINNING]))
    if not turns or isinstance(turns[-1], Answered):
        turns.append(Asked())
    _close_calls(turns)
    last = turns[-1]
    assert isinstance(last, Asked)
    last.texts[:0] = _surroundings(context)
    if not last.texts and not last.results:
        last.texts.append(GO_ON)
    return dialogue


def _add(dialogue: Dialogue, message: Message) -> None:
    turns, content = dialogue.turns, message.content
    says = [content] if content.strip() else []
    match message.role:
        case "system":
            dialogue.system.extend(says)
        case "assistant":
            calls = dict(_calls(message, turns))
            if says or calls:
                answered = _last(turns, Answered)
                answered.texts.extend(says)
                answered.calls.update(calls)
        case "tool":
            _add_result(turns, message)
        case "user":
            if says:
                _last(turns, Asked).texts.extend(says)


def _last(turns: list[Asked | Answered], kind: type[T]) -> T:
    if turns and isinstance(turns[-1], kind):
        return turns[-1]
    turn = kind()
    turns.append(turn)
    return turn


def _calls(message: Message, turns: list[Asked | Answered]) -> Iterator[tuple[Pair, ToolCall]]:
    """The tools that *message* calls. Ids may come again in another turn; a provider hears each of them once."""
    heard = {call.id for turn in turns if isinstance(turn, Answered) for call in turn.calls.values()}
    paired = {pair for turn in turns if isinstance(turn, Answered) for pair in turn.calls}
    listed = message.metadata.get("tool_calls")
    for item in cast("list[Any]", listed) if isinstance(listed, list) else ():
        try:
            call = ToolCall.model_validate(item)
        except ValidationError:
            continue
        pair = _pair(message, call.id)
        if not (call.id and call.name) or pair in paired:
            continue
        sent_id = next(id for id in ids_like(call.id) if id not in heard)
        heard.add(sent_id)
        paired.add(pair)
        yield pair, call.model_copy(update={"id": sent_id})


def ids_of(dialogue: Dialogue) -> set[str]:
    """The ids of all calls in it, in the history's words and in the provider's."""
    calls = [
        (pair[1], call.id) for turn in dialogue.turns if isinstance(turn, Answered) for pair, call in turn.calls.items()
    ]
    return {id for both in calls for id in both}


def ids_like(id: str) -> Iterator[str]:
    """*id*, then others that remind of it."""
    yield id
    yield from (f"{id}-{number}" for number in count(2))


def _pair(message: Message, call_id: str) -> Pair:
    turn_id = message.metadata.get("turn_id")
    return turn_id if isinstance(turn_id, str) else None, call_id


def _add_result(turns: list[Asked | Answered], message: Message) -> None:
    call_id = message.metadata.get("call_id")
    pair = _pair(message, call_id) if isinstance(call_id, str) else None
    for place, turn in enumerate(turns):
        if isinstance(turn, Answered) and pair in turn.calls:
            call = turn.calls[pair]
            asked = turns[place + 1] if place + 1 < len(turns) else _last(turns, Asked)
            assert isinstance(asked, Asked)
            if all(result.call_id != call.id for result in asked.results):
                asked.results.append(ToolResult(call_id=call.id, name=call.name, output=message.content))
                return
    if message.content.strip():
        _last(turns, Asked).texts.append(f"(Output of a tool.)\n{message.content}")


def _close_calls(turns: list[Asked | Answered]) -> None:
    """Each call gets a result, in the order of the calls."""
    for answered, asked in zip(turns, turns[1:], strict=False):
        if isinstance(answered, Answered) and isinstance(asked, Asked):
            found = {result.call_id: result for result in asked.results}
            asked.results = [found.get(call.id) or _interrupted(call) for call in answered.calls.values()]


def _interrupted(call: ToolCall) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, error=INTERRUPTED)


def _surroundings(context: Context) -> list[str]:
    """Files and the working context. Beside the last question, so that what comes before stays as it was."""
    parts = {
        "files": [file.path for file in context.files],
        "file_index": context.file_index,
        "working_context": context.working_context,
    }
    known = {name: part for name, part in parts.items() if part}
    if not known:
        return []
    return [f"(What the session keeps, as data.)\n{json.dumps(freeze(known), ensure_ascii=False, sort_keys=True)}"]
