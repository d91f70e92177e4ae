"""The OpenAI Agents SDK: SQLiteSession, and AsyncSQLiteSession of its extensions, all sessions in one file.

https://openai.github.io/openai-agents-python/sessions/: a session is an object with an id and a path; `add_items` takes
a question and its answer together, `get_items(limit=…)` is the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any, ClassVar

from agents import SQLiteSession
from agents.extensions.memory import AsyncSQLiteSession

from tests.bench.durable.backend import Backend, Message


def items(messages: Sequence[Message]) -> list[Any]:
    """Messages in its form."""
    return [{"role": role, "content": text} for role, text in messages]


class Threaded(Backend):
    """A connection per session and thread."""

    kind: ClassVar[Any] = SQLiteSession

    async def open(self) -> None:
        self._used: list[Any] = []

    async def close(self) -> None:
        for session in self._used:
            await self._leave(session)

    async def _leave(self, session: Any) -> None:
        closed = session.close()
        if isawaitable(closed):
            await closed

    async def create(self, session_id: str) -> Any:
        session = self.kind(session_id, self.place)
        self._used.append(session)
        return session

    find = create

    async def add(self, session: Any, messages: Sequence[Message]) -> None:
        await session.add_items(items(messages))

    async def recent(self, session: Any, count: int) -> Sequence[Any]:
        return await session.get_items(limit=count)

    async def everything(self, session: Any) -> Sequence[Any]:
        return await session.get_items()

    async def delete(self, session: Any) -> None:
        await session.clear_session()

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        for session_id, messages in sessions.items():
            session = self.kind(session_id, self.place)
            await session.add_items(items(messages))
            await self._leave(session)

    @staticmethod
    def text(message: Any) -> str:
        return message["content"]


class Async(Threaded):
    """A connection, with a thread of its own, per session."""

    kind = AsyncSQLiteSession
