"""jidoka on a durable store: sessions of a client, and the store alone, whose calls are what a peer offers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig
from jidoka.core.entries import Entry
from jidoka.core.errors import Fenced, SessionNotFound, StaleSequence, TurnInProgress
from jidoka.core.events import EventType
from jidoka.core.messages import Context
from jidoka.ports.store import Store
from jidoka.ports.world import SystemWorld
from jidoka.session import Session
from jidoka.wiring import store_for
from tests.bench.durable.backend import Backend, Message

BORN: dict[str, Any] = {"owner": None, "metadata": {}, "llm_config": {}, "config": {}}
ACTIVE = {"status": "active", "previous_status": "initializing"}
# Journals that are written at the same time, to fill a store: they share commits.
AT_ONCE = 500
WORLD = SystemWorld()


class Answer:
    """A model that answers at once, in one piece."""

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        yield Chunk(text=context.conversation[-1].content)


class Journal:
    """A session's place in the store."""

    def __init__(self, session_id: str, seq: int, epoch: int) -> None:
        self.session_id = session_id
        self.seq = seq
        self.epoch = epoch


def url_of(backend: Backend) -> str:
    """How jidoka calls the place."""
    if "://" in backend.place:
        return backend.place
    return f"sqlite:///{backend.place}{'?durability=process' if backend.normal else ''}"


def birth() -> list[Entry]:
    """What a session begins with."""
    now = WORLD.now()
    return [
        Entry(1, EventType.SESSION_CREATED, now, BORN, None, 1),
        Entry(2, EventType.SESSION_STATUS, now, ACTIVE, None, 1),
    ]


BIRTH = len(birth())


def said(messages: Sequence[Message], after: int, epoch: int) -> list[Entry]:
    """Messages as a session writes them."""
    now = WORLD.now()
    return [
        Entry(
            seq,
            EventType.CONVERSATION_ADDED,
            now,
            {"id": f"message_{WORLD.new_id()}", "role": role, "content": text, "metadata": {}},
            None,
            epoch,
        )
        for seq, (role, text) in enumerate(messages, start=after + 1)
    ]


async def fill(store: Store, sessions: Mapping[str, Sequence[Message]]) -> None:
    """Many journals at once."""
    waiting = iter(sessions.items())
    while some := list(islice(waiting, AT_ONCE)):
        await asyncio.gather(
            *(
                store.append(session_id, [*birth(), *said(messages, BIRTH, 1)], expected_seq=0)
                for session_id, messages in some
            )
        )


class Journals(Backend):
    """The store alone: what a session is made of, without its actors."""

    conflicts = (StaleSequence, Fenced)

    async def open(self) -> None:
        self._store = store_for(url_of(self))
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def create(self, session_id: str) -> Journal:
        head = await self._store.append(session_id, birth(), expected_seq=0)
        return Journal(session_id, head.seq, head.epoch)

    async def find(self, session_id: str) -> Journal:
        head = await self._store.head(session_id)
        if head is None:
            raise SessionNotFound(session_id)
        return Journal(session_id, head.seq, head.epoch)

    async def add(self, session: Journal, messages: Sequence[Message]) -> None:
        entries = said(messages, session.seq, session.epoch)
        session.seq = (await self._store.append(session.session_id, entries, expected_seq=session.seq)).seq

    async def recent(self, session: Journal, count: int) -> Sequence[Any]:
        return await self._store.read(session.session_id, after=max(BIRTH, session.seq - count))

    async def everything(self, session: Journal) -> Sequence[Any]:
        return await self._store.read(session.session_id, after=BIRTH)

    async def delete(self, session: Journal) -> None:
        await self._store.purge(session.session_id)

    async def page(self, number: int, cursor: Any) -> tuple[int, Any]:
        found = await self._store.heads(after=cursor, limit=100)
        return len(found), found[-1][0]

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        await fill(self._store, sessions)

    @staticmethod
    def text(message: Any) -> str:
        return message.data["content"]


class Sessions(Backend):
    """Sessions with their actors. Two messages at once are a turn of a model that answers what it was asked."""

    conflicts = (TurnInProgress,)

    async def open(self) -> None:
        self._client = Client(url_of(self), models={"echo": Answer()})
        await self._client.__aenter__()

    async def close(self) -> None:
        await self._client.__aexit__(None, None, None)

    async def create(self, session_id: str) -> Session:
        return await self._client.create_session(session_id=session_id)

    async def find(self, session_id: str) -> Session:
        return self._client.session(session_id)

    async def add(self, session: Session, messages: Sequence[Message]) -> None:
        (role, text), *answers = messages
        if answers:
            await session.prompt(text)
        else:
            await session.send_message(role, text)

    async def recent(self, session: Session, count: int) -> Sequence[Any]:
        return await session.get_history(limit=count)

    async def everything(self, session: Session) -> Sequence[Any]:
        return await session.get_history()

    async def turn(self, session: Session, pair: Sequence[Message]) -> None:
        """A turn builds the context itself."""
        await session.prompt(pair[0][1])

    async def delete(self, session: Session) -> None:
        await session.terminate(purge=True)

    async def page(self, number: int, cursor: Any) -> tuple[int, Any]:
        page = await self._client.list_sessions(limit=100, cursor=cursor)
        return len(page), page.next_cursor

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        await fill(self._client.house.store, sessions)

    @staticmethod
    def text(message: Any) -> str:
        return message.content
