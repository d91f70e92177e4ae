"""Agent processes, as a session's actors and its model see them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from jidoka.core.chunks import Chunk, Reply
from jidoka.core.messages import Context


class AgentDied(Exception):
    """An agent's process ended, and nobody had asked it to."""


class AgentLink(Protocol):
    """One process, which is there when this is. It belongs to whoever runs `run`."""

    @property
    def pid(self) -> int:
        """The leader of its process group."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it can be asked nothing more."""
        ...

    async def run(self) -> None:
        """See to it until it has ended, and nothing of it is left. Cancelled, it is killed.

        Raises AgentDied if it had greeted, and ended by itself.
        """
        ...

    async def greet(self) -> None:
        """Make ready what comes before the first question. Raises TurnFailed."""
        ...

    def answer(self, context: Context) -> AsyncGenerator[Chunk, Reply | None]:
        """The answer to the last message. A question's reply comes as the value of the `yield`. Raises TurnFailed."""
        ...

    async def call_off(self) -> None:
        """Nobody wants the present answer any more. It stops, or is stopped."""
        ...

    async def close(self, *, quietly: bool = False) -> None:
        """End it: in order, and after the grace by force. It is gone when this returns.

        *quietly*: a turn that is under way is not told, for its orchestrator ends next.
        """
        ...

    def kill(self) -> None:
        """End it by force, without waiting. `run` sees the end."""
        ...


class AgentLauncher(Protocol):
    """Starts agent processes."""

    def open(self, model: str, session_id: str) -> AgentLink:
        """A new process of the agent that *model* names. Raises ModelNotFound, TurnFailed."""
        ...


class Agents(Protocol):
    """The way from a session's model to the session's agent process."""

    async def begin(self, session_id: str, ticket: object) -> AgentLink:
        """The process, started if there is none, for the turn that *ticket* stands for. Raises TurnFailed."""
        ...

    def leave(self, session_id: str, ticket: object, *, is_done: bool) -> None:
        """That turn is over, with its answer or without."""
        ...
