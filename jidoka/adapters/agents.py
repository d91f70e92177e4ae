"""The agent commands that a server has: starts their processes, and is the model that sessions have of them."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from jidoka.core.agents import AgentCommand, AgentLimits, kind_of
from jidoka.core.chunks import Chunk, Reply
from jidoka.core.errors import ModelNotFound

if TYPE_CHECKING:
    from jidoka.core.chunks import LLMConfig
    from jidoka.core.messages import Context
    from jidoka.ports.agents import AgentLink, Agents
    from jidoka.ports.world import World

_MOST_NAMES: Final = 10


class AgentCommands:
    """An `AgentLauncher`. *is_free*: sessions may name any command, rather than one of *commands* by its name."""

    def __init__(
        self, commands: Mapping[str, AgentCommand], *, is_free: bool, limits: AgentLimits, world: World
    ) -> None:
        self._commands = dict(commands)
        self._is_free = is_free
        self._limits = limits
        self._world = world

    def __repr__(self) -> str:
        return f"<AgentCommands: {', '.join(self._commands) or 'none'}{', and any other' if self._is_free else ''}>"

    def command(self, model: str) -> AgentCommand:
        """The command behind *model*. Raises ModelNotFound, with what to do."""
        kind, _, name = model.partition(":")
        known = self._commands.get(name)
        if known is not None:
            return known
        if not self._is_free:
            names = ", ".join(f"{kind}:{known}" for known in list(self._commands)[:_MOST_NAMES]) or "none"
            hint = f"this server has no agent of that name, and lets no session name a command; it has: {names}"
            raise ModelNotFound(model, hint=f"{hint} (settings: agents, allow_agent_commands)")
        try:
            return AgentCommand(argv=tuple(shlex.split(name)))
        except ValueError:
            raise ModelNotFound(model, hint="this is no command line") from None

    def open(self, model: str, session_id: str) -> AgentLink:
        """A new process. Raises ModelNotFound, TurnFailed."""
        from jidoka.adapters.agent_acp import AcpLink
        from jidoka.adapters.agent_link import RunLink
        from jidoka.adapters.agent_process import ChildProcess
        from jidoka.adapters.agent_speech import LinesLink

        command, limits, world = self.command(model), self._limits, self._world
        process = ChildProcess(
            command.argv,
            env=command.environment(os.environ, JIDOKA_AGENT_SESSION=session_id),
            cwd=command.cwd,
            secrets=command.secrets(os.environ),
            limits=limits,
            world=world,
        )
        if kind_of(model) == "acp":
            return AcpLink(process, limits, world, cwd=command.cwd)
        if command.lines:
            return LinesLink(process, limits, world)
        return RunLink(process, limits, world, history=command.history)


class AgentModel:
    """The model of a session that has an agent process. The process belongs to the session's supervisor."""

    def __init__(self, name: str, agents: Agents) -> None:
        self.name = name
        self._agents = agents

    def __repr__(self) -> str:
        return f"<AgentModel {self.name}>"

    async def respond(self, context: Context, config: LLMConfig) -> AsyncGenerator[Chunk, Reply | None]:
        """Raises TurnFailed with a `reason`. Cancelled, or left early, it calls the agent off."""
        ticket = object()
        is_done = False
        try:
            link = await self._agents.begin(context.session_id, ticket)
            async with aclosing(link.answer(context)) as chunks:
                reply: Reply | None = None
                while (chunk := await _next(chunks, reply)) is not None:
                    reply = yield chunk
            is_done = True
        finally:
            self._agents.leave(context.session_id, ticket, is_done=is_done)


async def _next(chunks: AsyncGenerator[Chunk, Reply | None], reply: Reply | None) -> Chunk | None:
    try:
        return await chunks.asend(reply)
    except StopAsyncIteration:
        return None
