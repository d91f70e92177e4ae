"""A replay's model and its tools: they play the recorded answers, and are in trouble as often as one likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any, Final

import anyio

from jidoka.core.chunks import Chunk, LLMConfig, ToolCall
from jidoka.core.tools import CallInfo

if TYPE_CHECKING:
    from jidoka.cli.casting import Part
    from jidoka.cli.killing import Killer
    from jidoka.cli.report import Report
    from jidoka.core.messages import Context, Message

MODEL: Final = "replay"
# So often a model that has tools wants some before it answers, and so many rounds of them at most.
WANTS_TOOLS: Final = 0.3
_MOST_ROUNDS: Final = 3
# With so few arguments there are, the same call is often made again.
_NOTES: Final = ("a", "b")


class Trouble(StrEnum):
    """What goes wrong with a turn. Its model is told before."""

    NONE = "none"
    FAILS = "fails"
    IS_CUT = "is_cut"
    STALLS = "stalls"
    """Until its deadline."""
    IS_LEFT = "is_left"
    """It stalls until somebody cancels it."""


@dataclass(slots=True)
class Scene:
    """What the model of one session plays, with its own dice."""

    part: Part
    dice: Random
    killer: Killer
    trouble: Trouble = Trouble.NONE
    """Of the turn that is asked for."""
    stalled: anyio.Event = field(default_factory=anyio.Event)


class Actors:
    """The model that all sessions of a replay have. What it says is in the dialogues, by the turn's key."""

    def __init__(self, scenes: Mapping[str, Scene], report: Report, *, has_tools: bool) -> None:
        self._scenes = scenes
        self._report = report
        self._has_tools = has_tools

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        """The recorded answer, or what is made of it."""
        # In a replay that goes on with another there may be turns before anybody has asked: those fail, as others do.
        scene = self._scenes[context.session_id]
        place, question = _question(context.conversation)
        recorded = scene.part.turns
        number = turn_of(question.metadata["turn_id"])
        if question.content != recorded[number][1]:
            # The context is somebody else's.
            self._report.astray += 1
        await scene.killer.strike()
        rounds = sum("tool_calls" in message.metadata for message in context.conversation[place:])
        if self._has_tools and rounds < _MOST_ROUNDS and scene.dice.random() < WANTS_TOOLS:
            yield Chunk(text="Let me see.")
            for call in _some_calls(scene.dice):
                yield Chunk(tool_call=call)
            return
        async for piece in self._say(scene, recorded[number + 1][1]):
            yield Chunk(text=piece)

    async def _say(self, scene: Scene, text: str) -> AsyncIterator[str]:
        middle, trouble = scene.dice.randrange(len(text) + 1), scene.trouble
        if trouble is Trouble.FAILS:
            raise RuntimeError("the model broke")
        yield text[:middle]
        await scene.killer.strike()
        if trouble is Trouble.IS_CUT:
            raise ConnectionResetError("the stream was cut")
        if trouble is not Trouble.NONE:
            scene.stalled.set()
            await anyio.sleep_forever()
        yield text[middle:]


def turn_of(turn_id: str) -> int:
    """Which of a dialogue's messages the turn `turn_PART/MESSAGE/ATTEMPT` asks."""
    return int(turn_id.split("/")[1])


def _question(conversation: Sequence[Message]) -> tuple[int, Message]:
    place = max(place for place, message in enumerate(conversation) if message.role == "user")
    return place, conversation[place]


def _some_calls(dice: Random) -> list[ToolCall]:
    names = dice.choices(["note", "fumble", "babble", "unheard_of"], weights=[6, 1, 1, 1], k=dice.choice([1, 1, 2]))
    wrong = {"words": 7}
    return [
        ToolCall(
            id=f"call_{place}", name=name, arguments={"text": dice.choice(_NOTES)} if dice.random() < 0.9 else wrong
        )
        for place, name in enumerate(names)
    ]


class Workshop:
    """Tools that work, fail, and return garbage; and what the one that works has really done, by idempotency key."""

    def __init__(self, scenes: Mapping[str, Scene], report: Report) -> None:
        self._scenes = scenes
        self._report = report
        self.done: Counter[str] = Counter()

    @property
    def tools(self) -> list[Callable[..., Any]]:
        """For a client."""
        return [self.note, self.fumble, self.babble]

    async def note(self, text: str, info: CallInfo) -> str:
        """Write something down: once for each key."""
        killer, report = self._scenes[info.session_id].killer, self._report
        await killer.strike()
        report.tool_runs += 1
        report.repeats_told += info.is_repeat
        if info.key not in self.done:
            self.done[info.key] += 1
        elif not info.is_repeat:
            # It would have done it again.
            report.repeated += 1
        await killer.strike()
        return info.key

    async def fumble(self, text: str) -> str:
        """Drop it."""
        raise RuntimeError(f"{text} fell down")

    async def babble(self, text: str) -> Any:
        """Say something that is no JSON."""
        return {text: float("nan")} if text == "a" else "\ud800"
