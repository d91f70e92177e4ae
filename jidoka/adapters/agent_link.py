"""What all links to agent processes have in common, and the simplest of them: a command that runs for each turn."""

from __future__ import annotations

import codecs
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from jidoka.adapters.waiting import in_time
from jidoka.core.agents import AgentLimits, agent_failed, question_of, transcript
from jidoka.core.chunks import Chunk, Reply
from jidoka.ports.agents import AgentDied

if TYPE_CHECKING:
    from jidoka.adapters.agent_process import ChildProcess
    from jidoka.core.errors import TurnFailed
    from jidoka.core.messages import Context
    from jidoka.ports.world import World

T = TypeVar("T")

Answer = AsyncGenerator[Chunk, Reply | None]

_KILLED: Final = 128


class Link:
    """An `AgentLink`. How a turn goes is for those that derive from it to say."""

    def __init__(self, process: ChildProcess, limits: AgentLimits, world: World) -> None:
        self.process = process
        self.limits = limits
        self.world = world
        self.is_ready = False
        # We have had enough of it: its end is no news.
        self.is_over = False
        self._is_quiet = False
        self._length = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.process!r}{', over' if self.is_over else ''}>"

    @property
    def pid(self) -> int:
        """The leader of its process group."""
        return self.process.pid

    async def run(self) -> None:
        """See to it until it has ended. Raises AgentDied if it had greeted, and that was its own idea."""
        await self.process.run()
        if self.is_ready and not self.is_over and self.is_a_crash():
            self.is_over = True
            raise AgentDied(f"agent process {self.pid} ended: {self.process.obituary()}")
        self.is_over = True

    def is_a_crash(self) -> bool:
        """Whether its end, which nobody asked for, is one."""
        return True

    async def close(self, *, quietly: bool = False) -> None:
        """End it: in order, and after the grace by force. It is gone when this returns."""
        self.is_over = True
        self._is_quiet = quietly
        await self.process.close()

    def kill(self) -> None:
        """End it by force, without waiting."""
        self.is_over = True
        self.process.kill()
        self.process.release()

    async def greet(self) -> None:
        """Make ready what comes before the first question. Raises TurnFailed."""
        self.is_ready = True

    @abstractmethod
    def answer(self, context: Context) -> Answer:
        """The answer to the last message."""
        raise NotImplementedError

    async def call_off(self) -> None:
        """The present answer is not wanted any more."""
        await self.close()

    # --- for those that derive from it -----------------------------------------------------------------------

    async def in_time(self, seconds: float, call: Callable[[], Awaitable[T]], *, why: str = "agent_silent") -> T:
        """What *call* returns. Raises TurnFailed if it does not within *seconds*."""
        try:
            return await in_time(self.world, self.world.monotonic() + seconds, call)
        except TimeoutError:
            failure = agent_failed(why, f"{seconds:g} s")
        raise failure

    def count(self, text: str) -> None:
        """Raises TurnFailed if *text* makes the answer longer than is taken."""
        self._length += len(text)
        if self._length > self.limits.answer:
            self.is_over = True
            raise agent_failed("agent_too_large", f"more than {self.limits.answer} characters")

    def begin_to_count(self) -> None:
        """Another answer."""
        self._length = 0

    async def how_it_ended(self) -> TurnFailed:
        """Its output has come to an end: so has it, or it will have to."""
        if self._is_quiet:
            await anyio.sleep_forever()
        try:
            await in_time(self.world, self.world.monotonic() + self.limits.grace, self.process.ended.wait)
        except TimeoutError:
            self.is_over = True
            return agent_failed("agent_ended", "it closed its output")
        return agent_failed("agent_ended", self.process.obituary())


class RunLink(Link):
    """A command that is run for one turn: the question is its input, and its output is the answer."""

    def __init__(self, process: ChildProcess, limits: AgentLimits, world: World, *, history: bool) -> None:
        super().__init__(process, limits, world)
        self._history = history

    def is_a_crash(self) -> bool:
        """A command may say with its exit status that it cannot do it. Being killed is another matter."""
        return (self.process.status or 0) > _KILLED

    async def answer(self, context: Context) -> Answer:
        """Raises TurnFailed unless it ends with status 0."""
        self._ask(context)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := await self.in_time(self.limits.silence, self.process.read):
            text = decoder.decode(data).replace("\0", "\ufffd")
            self.count(text)
            if text:
                yield Chunk(text=text)
        if rest := decoder.decode(b"", final=True):
            yield Chunk(text=rest)
        await self._must_have_worked()
        if not self._length:
            raise agent_failed("agent_failed", "it said nothing")

    def _ask(self, context: Context) -> None:
        question = question_of(context)
        before = [said for said in context.conversation if said is not question] if self._history else []
        self.process.send("\n\n".join([*transcript(before), question.content]).encode(errors="replace"))
        self.process.end_input()

    async def _must_have_worked(self) -> None:
        ended = await self.how_it_ended()
        status = self.process.status
        if status is None or status > _KILLED:
            raise ended
        if status:
            raise agent_failed("agent_failed", self.process.obituary())
        self.is_over = True
        self.process.release()
