"""What a listener hears has happened; what was not committed nobody hears of."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jidoka import Client, JidokaError, MemoryStore, StoreUnavailable
from jidoka.core.entries import Entry
from jidoka.core.heads import Head
from jidoka.testing.events import listening_to


class FlakyStore(MemoryStore):
    """Refuses the appends that a test tells it to."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: set[str] = set()
        self.loses_the_answer = False
        self.committed: list[tuple[str, int]] = []

    async def append(self, session_id: str, entries: Sequence[Entry], *, expected_seq: int) -> Head:
        if any(str(entry.type) in self.refuses for entry in entries):
            raise StoreUnavailable("not now")
        head = await super().append(session_id, entries, expected_seq=expected_seq)
        self.committed.extend((session_id, entry.seq) for entry in entries)
        if self.loses_the_answer:
            raise StoreUnavailable("who knows")
        return head


async def test_a_message_that_was_not_committed_is_neither_told_nor_kept() -> None:
    store = FlakyStore()
    async with Client(store) as client:
        session = await client.create_session()
        async with listening_to(client, session.id) as log:
            store.refuses = {"conversation_added"}
            with pytest.raises(StoreUnavailable):
                await session.send_message("user", "lost?")
            store.refuses = set()
            await session.send_message("user", "kept")

        assert [event.data["content"] for event in log.events] == ["kept"]
        assert [message.content for message in await session.get_history()] == ["kept"]


async def test_whatever_is_told_was_committed_before() -> None:
    store = FlakyStore()
    async with Client(store) as client:
        session = await client.create_session()
        unheard: list[int] = []

        def check(event: object) -> None:
            seq: int | None = getattr(event, "seq", None)
            if seq is not None and (session.id, seq) not in store.committed:
                unheard.append(seq)

        handle = client.house.hub.listen(check, session.id)
        await session.send_message("user", "one")
        await session.prompt("two")
        handle.close()

        assert unheard == []


async def test_a_session_that_cannot_be_written_at_its_birth_is_not_there() -> None:
    store = FlakyStore()
    async with Client(store) as client:
        store.refuses = {"session_created"}
        with pytest.raises(JidokaError):
            await client.create_session(session_id="session_x")

        store.refuses = set()
        assert len(client.house.registry) == 0
        await client.create_session(session_id="session_x")


async def test_the_failure_of_one_session_that_cannot_be_recorded_ends_nobody_else() -> None:
    store = FlakyStore()
    async with Client(store) as client:
        one = await client.create_session(config={"max_restarts": 0})
        other = await client.create_session()
        before = (await other.get_ref()).actor_urn
        store.refuses = {"session_failed"}
        child = (await one.which_children())[0]
        child.ref.kill()
        await child.ref.wait_stopped()

        await other.send_message("user", "still here")

        assert (await other.get_ref()).actor_urn == before


async def test_a_write_whose_answer_was_lost_is_found_by_its_key() -> None:
    store = FlakyStore()
    async with Client(store) as client:
        session = await client.create_session()
        store.loses_the_answer = True
        with pytest.raises(StoreUnavailable):
            await session.send_message("user", "sent once", idempotency_key="a")
        store.loses_the_answer = False

        again = await session.send_message("user", "sent once", idempotency_key="a")
        await session.send_message("user", "next")

        history = await session.get_history()
        assert [message.content for message in history] == ["sent once", "next"]
        assert history[0].seq == again.seq
