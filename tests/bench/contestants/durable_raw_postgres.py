"""PostgreSQL with nothing around it: one connection of psycopg, and one statement for all that waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import psycopg

from tests.bench.durable.backend import Backend, Message

SCHEMA = """
create table if not exists messages
    (id bigint generated always as identity primary key, session text not null, seq int not null, data text not null);
create unique index if not exists messages_of_a_session on messages (session, seq);
"""
ADD = "insert into messages (session, seq, data) select * from unnest(%s::text[], %s::int[], %s::text[])"


class Known:
    """A session, and how many messages it has."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.seq = 0


class Postgres(Backend):
    """While a statement runs, the rows for the next one gather."""

    async def open(self) -> None:
        self._db = await psycopg.AsyncConnection.connect(self.place, autocommit=True)
        await self._db.execute(SCHEMA.encode())
        self._rows: list[tuple[str, int, str]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._has_rows = asyncio.Event()
        self._writer = asyncio.create_task(self._write())  # noqa: TID251 - this one is not jidoka

    async def close(self) -> None:
        self._writer.cancel()
        await self._db.close()

    async def _write(self) -> None:
        while True:
            await self._has_rows.wait()
            self._has_rows.clear()
            rows, self._rows = self._rows, []
            waiting, self._waiting = self._waiting, []
            await self._db.execute(ADD, [list(column) for column in zip(*rows, strict=True)], prepare=True)
            for done in waiting:
                done.set_result(None)

    async def create(self, session_id: str) -> Any:
        return Known(session_id)

    find = create

    async def add(self, session: Known, messages: Sequence[Message]) -> None:
        for role, text in messages:
            session.seq += 1
            self._rows.append((session.session_id, session.seq, json.dumps({"role": role, "content": text})))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._has_rows.set()
        await done
