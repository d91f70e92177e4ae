"""A chat with a person who is scripted: what they type comes through a pipe, what they would see is kept."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from jidoka.adapters.memory import MemoryStore
from jidoka.cli.conversation import Conversation
from jidoka.cli.lines import Lines
from jidoka.cli.voice import Voice
from jidoka.client import Client
from jidoka.session import Session
from jidoka.testing.faulty_store import Call, Fault, FaultyStore
from jidoka.testing.models import ScriptedModel

PATIENCE = 20


class Eyes(Voice):
    """Keeps what a program would be told."""

    def __init__(self) -> None:
        super().__init__(as_json=True, is_interactive=False)
        self.seen: list[dict[str, Any]] = []
        self.questions = 0
        self._changed = anyio.Event()

    def _write(self, value: dict[str, Any]) -> None:
        self.seen.append(value)
        self.look_again()

    def prompt(self, question: str = "") -> None:
        self.questions += 1
        self.look_again()

    def look_again(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def all(self, type: str) -> list[dict[str, Any]]:
        return [said for said in self.seen if said["type"] == type]

    async def next(self, type: str, *, number: int = 1) -> dict[str, Any]:
        """The first of that type, or another one; when it is there."""
        await self.until(lambda: len(self.all(type)) >= number)
        return self.all(type)[number - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not condition():
                await self._changed.wait()

    async def asked(self, number: int) -> None:
        """Wait until a line is asked for the *number*th time."""
        await self.until(lambda: self.questions >= number)


class CountedLines(Lines):
    """Says when a line has been taken. Whoever took it has dealt with it, or waits for something else, by then."""

    eyes: Eyes
    taken = 0

    async def next(self) -> str | None:
        line = await super().next()
        self.taken += 1
        self.eyes.look_again()
        return line


class Desk:
    """A person at a chat."""

    def __init__(self, *, is_terminal: bool = False) -> None:
        theirs, self._ours = os.pipe()
        self._theirs = theirs
        self.lines = CountedLines(lambda: os.read(theirs, 1_000), is_terminal=is_terminal)
        self.eyes = self.lines.eyes = Eyes()
        self._has_left = False

    def types(self, *lines: str) -> None:
        os.write(self._ours, "".join(f"{line}\n" for line in lines).encode())

    async def taken(self, lines: int) -> None:
        """Wait until so many lines have been taken in all."""
        await self.eyes.until(lambda: self.lines.taken >= lines)

    def leaves(self) -> None:
        """Ctrl-D."""
        if not self._has_left:
            self._has_left = True
            os.close(self._ours)

    async def go(self) -> None:
        """Away from the desk."""
        self.leaves()
        self.lines.close()

    @property
    def said(self) -> list[str]:
        """The answers, in order."""
        return [said["message"]["content"] for said in self.eyes.all("message")]


@asynccontextmanager
async def at_a_desk(
    client: Client, session: Session, *, is_terminal: bool = False
) -> AsyncIterator[tuple[Desk, Conversation]]:
    """A chat that runs, and ends when the person has left."""
    desk = Desk(is_terminal=is_terminal)
    chat = Conversation(client, session, desk.lines, desk.eyes, by="ada")
    try:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(chat.run)
                yield desk, chat
                desk.leaves()
    finally:
        await desk.go()


async def chat_with(client: Client, session: Session, *lines: str) -> Desk:
    """All of a chat from a script."""
    async with at_a_desk(client, session) as (desk, _):
        desk.types(*lines)
    return desk


@asynccontextmanager
async def a_session(*scripts: Any, store: Any = "memory://") -> AsyncIterator[tuple[Client, Session, ScriptedModel]]:
    """A session with a scripted model."""
    model = ScriptedModel(*scripts)
    async with Client(store, models={"scripted": model}) as client:
        yield client, await client.create_session(llm_config={"model": "scripted"}), model


class Away(FaultyStore):
    """A store that can go away."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), self._fault)
        self.is_away = False

    def _fault(self, call: Call) -> Fault | None:
        return Fault("error") if self.is_away and call.name not in ("open", "close") else None
