"""The OpenAI Agents SDK's SQLAlchemySession on PostgreSQL, with the driver and the shared engine of its documentation.

https://openai.github.io/openai-agents-python/sessions/sqlalchemy_session/
"""

from __future__ import annotations

from typing import Any

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine

from tests.bench.contestants.durable_openai import Threaded


class Alchemy(Threaded):
    """One pool of connections for all sessions."""

    async def open(self) -> None:
        self._engine = create_async_engine(self.place.replace("postgresql://", "postgresql+asyncpg://"))

    async def close(self) -> None:
        await self._engine.dispose()

    async def create(self, session_id: str) -> Any:
        return SQLAlchemySession(session_id, engine=self._engine, create_tables=True)

    find = create
