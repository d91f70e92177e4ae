"""SQLite with nothing around it: one connection, one table with one index, one commit for all that waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import apsw

from tests.bench.durable.backend import Backend, Message

SCHEMA = """
create table if not exists sessions (number integer primary key, id text unique not null, data text not null);
create table if not exists messages (session integer not null, seq integer not null, data text not null);
create unique index if not exists messages_of_a_session on messages (session, seq);
"""
NEW = "insert into sessions (id, data) values (?, ?)"
ADD = "insert into messages (session, seq, data) values (?, ?, ?)"
LAST = "select data from messages where session = ? order by seq desc limit ?"
ALL = "select data from messages where session = ? order by seq"
DATA = json.dumps({"owner": None, "status": "active", "metadata": {}})


class Known:
    """A session's number, and how many messages it has."""

    def __init__(self, number: int, seq: int = 0) -> None:
        self.number = number
        self.seq = seq


class Sqlite(Backend):
    """Whoever writes in the same turn of the loop shares a commit. No thread: the loop waits for the disk."""

    async def open(self) -> None:
        self._db = apsw.Connection(self.place)
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", "normal" if self.normal else "full")
        self._db.execute(SCHEMA)
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    async def close(self) -> None:
        self._db.close()

    def _commit(self, write: Callable[[], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        done: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((write, done))
        return done

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._db.execute("begin immediate")
        results = [write() for write, _ in waiting]
        self._db.execute("commit")
        for (_, done), result in zip(waiting, results, strict=True):
            done.set_result(result)

    async def create(self, session_id: str) -> Known:
        def write() -> Known:
            self._db.execute(NEW, (session_id, DATA))
            return Known(self._db.last_insert_rowid())

        return await self._commit(write)

    async def find(self, session_id: str) -> Known:
        ((number,),) = self._db.execute("select number from sessions where id = ?", (session_id,))
        ((seq,),) = self._db.execute("select coalesce(max(seq), 0) from messages where session = ?", (number,))
        return Known(number, seq)

    def _insert(self, session: Known, messages: Sequence[Message]) -> None:
        rows = [
            (session.number, session.seq + place, json.dumps({"role": role, "content": text}))
            for place, (role, text) in enumerate(messages, start=1)
        ]
        self._db.executemany(ADD, rows)
        session.seq += len(rows)

    async def add(self, session: Known, messages: Sequence[Message]) -> None:
        await self._commit(lambda: self._insert(session, messages))

    async def recent(self, session: Known, count: int) -> Sequence[Any]:
        found = [json.loads(data) for (data,) in self._db.execute(LAST, (session.number, count)).fetchall()]
        found.reverse()
        return found

    async def everything(self, session: Known) -> Sequence[Any]:
        return [json.loads(data) for (data,) in self._db.execute(ALL, (session.number,)).fetchall()]

    async def delete(self, session: Known) -> None:
        def write() -> None:
            self._db.execute("delete from messages where session = ?", (session.number,))
            self._db.execute("delete from sessions where number = ?", (session.number,))

        await self._commit(write)

    async def page(self, number: int, cursor: Any) -> tuple[int, Any]:
        found = self._db.execute(
            "select number, id, data from sessions where number > ? order by number limit 100", (cursor or 0,)
        ).fetchall()
        page = [(key, session_id, json.loads(data)) for key, session_id, data in found]
        return len(page), page[-1][0]

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        with self._db:
            for session_id, messages in sessions.items():
                self._db.execute(NEW, (session_id, DATA))
                self._insert(Known(self._db.last_insert_rowid()), messages)

    @staticmethod
    def text(message: Any) -> str:
        return message["content"]
