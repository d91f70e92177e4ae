"""google-adk: SqliteSessionService, and DatabaseSessionService through SQLAlchemy.

https://google.github.io/adk-docs/sessions/: a message is an event of a session object that was created or loaded; one
event is one call. The window is `GetSessionConfig(num_recent_events=…)`, which its runner takes as well. Whole
sessions are put straight into its tables; only what is measured goes through its methods.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from typing import Any

from google.adk.errors import StaleSessionError
from google.adk.events import Event
from google.adk.platform.time import get_time
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai.types import Content, Part

from tests.bench.durable.backend import WINDOW, Backend, Message

APP = "bench"
USER = "user"
PAGE = 100


def event(message: Message) -> Event:
    """One message in its form."""
    role, text = message
    content = Content(role="user" if role == "user" else "model", parts=[Part(text=text)])
    return Event(author="user" if role == "user" else "agent", invocation_id="invocation", content=content)


def owned(sessions: Mapping[str, Sequence[Message]]) -> Iterator[tuple[str, str, Sequence[Message]]]:
    """Each session with its user. It lists no pages: those that are there to be listed get a user for every hundred."""
    numbers = count()
    for session_id, messages in sessions.items():
        yield USER if messages else f"{USER}{next(numbers) // PAGE}", session_id, messages


class Service(Backend):
    """What both of its services have in common."""

    conflicts = (StaleSessionError,)
    service: Any

    async def close(self) -> None:
        await self.service.close()

    async def create(self, session_id: str) -> Session:
        return await self.service.create_session(app_name=APP, user_id=USER, session_id=session_id)

    async def find(self, session_id: str) -> Session:
        return await self._load(session_id, GetSessionConfig(num_recent_events=0))

    async def _load(self, session_id: str, config: GetSessionConfig | None) -> Session:
        found = await self.service.get_session(app_name=APP, user_id=USER, session_id=session_id, config=config)
        if found is None:
            raise RuntimeError(f"{session_id} is not there")
        return found

    async def add(self, session: Session, messages: Sequence[Message]) -> None:
        for message in messages:
            await self.service.append_event(session, event(message))

    async def recent(self, session: Session, count: int) -> Sequence[Any]:
        return (await self._load(session.id, GetSessionConfig(num_recent_events=count))).events

    async def everything(self, session: Session) -> Sequence[Any]:
        return (await self._load(session.id, None)).events

    async def turn(self, session: Session, pair: Sequence[Message]) -> None:
        await self.add(await self._load(session.id, GetSessionConfig(num_recent_events=WINDOW)), pair)

    async def delete(self, session: Session) -> None:
        await self.service.delete_session(app_name=APP, user_id=USER, session_id=session.id)

    async def page(self, number: int, cursor: Any) -> tuple[int, Any]:
        return len((await self.service.list_sessions(app_name=APP, user_id=f"{USER}{number}")).sessions), None

    @staticmethod
    def text(message: Any) -> str:
        return message.content.parts[0].text


class Sqlite(Service):
    """A connection per call."""

    async def open(self) -> None:
        from google.adk.sessions.sqlite_session_service import SqliteSessionService

        self.service = SqliteSessionService(self.place)
        await self.service.list_sessions(app_name=APP)

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        with closing(sqlite3.connect(self.place)) as db, db:
            for user, session_id, messages in owned(sessions):
                row = (APP, user, session_id, get_time(), get_time())
                db.execute("insert into sessions values (?, ?, ?, '{}', ?, ?)", row)
                for one in map(event, messages):
                    row = (one.id, APP, user, session_id, one.invocation_id, one.timestamp)
                    data = one.model_dump_json(exclude_none=True)
                    db.execute("insert into events values (?, ?, ?, ?, ?, ?, ?)", (*row, data))


class Database(Service):
    """SQLAlchemy's pool, on SQLite or PostgreSQL."""

    async def open(self) -> None:
        from google.adk.sessions import DatabaseSessionService

        is_file = "://" not in self.place
        driver = f"sqlite+aiosqlite:///{self.place}"
        self.service = DatabaseSessionService(
            driver if is_file else self.place.replace("postgresql://", "postgresql+asyncpg://")
        )
        await self.service.prepare_tables()

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        from google.adk.sessions.schemas.v1 import StorageEvent, StorageSession
        from sqlalchemy import insert

        await self._remember_user(next(iter(sessions)))
        moment = datetime.fromtimestamp(get_time(), UTC).replace(tzinfo=None)
        times = {"create_time": moment, "update_time": moment}
        async with self.service.database_session_factory() as sql:
            rows = [{"app_name": APP, "user_id": user, "id": key, "state": {}} for user, key, _ in owned(sessions)]
            await sql.execute(insert(StorageSession), [{**row, **times} for row in rows])
            for user, session_id, messages in owned(sessions):
                session = Session(id=session_id, app_name=APP, user_id=user)
                sql.add_all(StorageEvent.from_event(session, event(message)) for message in messages)
                await sql.flush()
                sql.expunge_all()
            await sql.commit()

    async def _remember_user(self, session_id: str) -> None:
        """Its events belong to an application and a user that it has made with their first session."""
        await self.service.delete_session(APP, USER, (await self.create(f"{session_id}-first")).id)
