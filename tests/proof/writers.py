"""The process that is killed: fifty writers, each of whom sends everything twice and notes what it was told."""

from __future__ import annotations

import os
from typing import Any

import anyio

from jidoka.client import Client
from jidoka.core.errors import SessionNotFound
from jidoka.core.settings import Settings
from jidoka.session import Session

WRITERS = 50


def session_id(number: int) -> str:
    return f"session_{number:02}"


class LateConnection:
    """Says that it has committed, and does so every twentieth time only. For the control of the test."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *args: Any) -> Any:
        if sql == "begin immediate" and self._connection.in_transaction:
            return None
        if sql == "commit":
            self._commits += 1
            if self._commits % 20:
                return None
        return self._connection.execute(sql, *args)


def write_until_killed(url: str, acks: str, cycle: int, is_sabotaged: bool) -> None:
    """Never returns. Writes `cycle session key seq` lines to the file *acks*."""
    anyio.run(_write, url, os.open(acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT), cycle, is_sabotaged)


async def _write(url: str, acks: int, cycle: int, is_sabotaged: bool) -> None:
    async with Client(url, settings=Settings(max_sessions=WRITERS)) as client:
        sessions = [client.session(session_id(number)) for number in range(WRITERS)]
        async with anyio.create_task_group() as tasks:
            for session in sessions:
                tasks.start_soon(_begin, client, session)
        if is_sabotaged:
            writing = client.house.store._writing  # pyright: ignore
            writing._connection = LateConnection(writing._connection)
        async with anyio.create_task_group() as tasks:
            for session in sessions:
                tasks.start_soon(_talk, session, acks, cycle)


async def _begin(client: Client, session: Session) -> None:
    """There from the first cycle on, unless that was too short. Who is there is woken by the first message."""
    try:
        await session.info()
    except SessionNotFound:
        await client.create_session(session_id=session.id)


async def _talk(session: Session, acks: int, cycle: int) -> None:
    number = 0
    while True:
        key = f"{cycle}-{number}"
        number += 1

        async def send(key: str = key) -> None:
            message = await session.send_message("user", f"{session.id} says {key}", idempotency_key=key)
            os.write(acks, f"{session.id} {key} {message.seq}\n".encode())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            tasks.start_soon(send)
