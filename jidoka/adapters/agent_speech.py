"""Links to agents that stay: one process for a session, with which lines are exchanged. Our own protocol is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jidoka.adapters.agent_link import Answer, Link
from jidoka.adapters.waiting import in_time
from jidoka.core import agent_lines
from jidoka.core.agents import AgentLimits, Hearing, agent_failed
from jidoka.core.chunks import Chunk, ToolCall, ToolResult
from jidoka.core.errors import TurnFailed

if TYPE_CHECKING:
    from jidoka.adapters.agent_process import ChildProcess
    from jidoka.core.messages import Context
    from jidoka.ports.world import World

# Bytes of lines for each character that an answer may have.
_MOST_AROUND: Final = 64


class LineLink(Link):
    """What all of them have in common: lines that are JSON objects, with an end, and a process that goes on."""

    def __init__(self, process: ChildProcess, limits: AgentLimits, world: World) -> None:
        super().__init__(process, limits, world)
        self.hearing = Hearing()
        self._buffer = bytearray()
        self._searched = 0
        self._weight = 0

    async def next_object(self) -> dict[str, Any]:
        """The next line. Raises TurnFailed if it cannot be read, or there is none."""
        line = await self._next_line()
        try:
            return agent_lines.object_of(line)
        except TurnFailed:
            # Nobody knows where it stands.
            self.is_over = True
            raise

    async def _next_line(self) -> bytes:
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > self.limits.line:
                self.is_over = True
                raise agent_failed("agent_too_large", f"a line of more than {self.limits.line} bytes")
            data = await self.process.read()
            if not data:
                raise await self.how_it_ended()
            self._buffer += data
        self._weigh(end)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def begin_to_count(self) -> None:
        """Another answer."""
        super().begin_to_count()
        self._weight = 0

    def _weigh(self, size: int) -> None:
        """Raises TurnFailed for one that goes on for ever without saying much."""
        self._weight += size
        if self._weight > _MOST_AROUND * self.limits.answer:
            self.is_over = True
            raise agent_failed("agent_too_large", f"more than {_MOST_AROUND * self.limits.answer} bytes in all")

    async def call_off(self) -> None:
        """Ask it to stop, and listen until it has; if it does not within the grace, it is ended."""
        if self.is_over:
            await self.close()
            return
        try:
            await in_time(self.world, self.world.monotonic() + self.limits.grace, self._stop_answering)
        except (TimeoutError, TurnFailed):
            await self.close()

    async def _stop_answering(self) -> None:
        raise NotImplementedError


class LinesLink(LineLink):
    """Our own lines: see notes/features/agent-processes.md."""

    def __init__(self, process: ChildProcess, limits: AgentLimits, world: World) -> None:
        super().__init__(process, limits, world)
        self._is_answering = False

    async def answer(self, context: Context) -> Answer:
        """Chunks until the line that says `done`. Raises TurnFailed."""
        self.begin_to_count()
        self._is_answering = True
        calls: dict[str, ToolCall] = {}
        self.process.send(agent_lines.prompt_line(self.hearing.news(context)))
        while (said := await self.in_time(self.limits.silence, self.next_object)).get("type") != agent_lines.DONE:
            if said.get("type") == agent_lines.ERROR:
                self._is_answering = False
                raise agent_failed("agent_failed", self.process.fit_to_print(str(said.get("text", ""))))
            chunk = agent_lines.chunk_of(said)
            if chunk is None:
                continue
            self.count(chunk.text)
            _pair(calls, chunk)
            reply = yield chunk
            if chunk.question is not None:
                self.process.send(agent_lines.reply_line(reply))
        self._is_answering = False
        for call in calls.values():
            # It runs its tools itself, and never said what came of this one.
            yield Chunk(
                tool_result=ToolResult(call_id=call.id, name=call.name, error="interrupted: there is no result")
            )

    async def _stop_answering(self) -> None:
        if self._is_answering:
            self.process.send(agent_lines.CANCEL)
            while (await self.next_object()).get("type") not in {agent_lines.DONE, agent_lines.ERROR}:
                pass
            self._is_answering = False


def _pair(calls: dict[str, ToolCall], chunk: Chunk) -> None:
    if chunk.tool_call is not None:
        calls[chunk.tool_call.id] = chunk.tool_call
    if chunk.tool_result is not None:
        calls.pop(chunk.tool_result.call_id, None)
