"""What every store promises of a journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import pytest

from jidoka.core.entries import Entry
from jidoka.core.errors import (
    CorruptRecord,
    DuplicateKey,
    InvalidMessage,
    SessionExists,
    SessionNotFound,
    StaleSequence,
)
from jidoka.core.events import EventType
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus
from jidoka.ports.store import Store
from jidoka.testing.entries import (
    EVERY_KIND_OF_JSON,
    NOON,
    A,
    attempts,
    birth,
    head_of,
    message_entry,
    messages_from,
    metadata_entry,
    seqs,
    status_entry,
)


@pytest.mark.anyio
class JournalContract:
    """Of each journal: its entries, its head, its order."""

    # --- one journal ----------------------------------------------------------------------------

    async def test_a_new_journal_is_read_as_it_was_written(self, store: Store) -> None:
        entries = [*birth(owner="ada", metadata=EVERY_KIND_OF_JSON), message_entry(3, "Grüße 🦔")]

        await store.append(A, entries, expected_seq=0)

        assert await store.read(A) == entries

    async def test_every_field_of_an_entry_is_kept(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        data = {"id": "m", "role": "tool", "content": "x", "metadata": EVERY_KIND_OF_JSON}
        moment = datetime(2031, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
        entry = Entry(3, "conversation_added", moment, data, "key", 1, "correlation", "causation")

        await store.append(A, [entry], expected_seq=2)

        (stored,) = await store.read(A, after=2)
        assert stored == entry
        assert stored.at.utcoffset() == timedelta(0)
        assert type(stored.data["metadata"]["yes"]) is bool
        assert type(stored.data["metadata"]["large"]) is int

    async def test_append_answers_the_new_head(self, store: Store) -> None:
        born = await store.append(A, birth(owner="ada", metadata={"a": 1}), expected_seq=0)
        grown = await store.append(A, messages_from(3, 2), expected_seq=2)

        assert (born.seq, born.epoch, born.status, born.owner) == (2, 1, SessionStatus.ACTIVE, "ada")
        assert (grown.seq, grown.message_count, grown.metadata) == (4, 2, {"a": 1})

    async def test_the_head_is_what_the_entries_add_up_to(self, store: Store) -> None:
        await store.append(A, birth(metadata={"a": 1, "b": {"c": 2}}), expected_seq=0)
        await store.append(A, messages_from(3, 3), expected_seq=2)
        await store.append(A, [metadata_entry(6, {"a": None, "b": {"d": 3}}, 2)], expected_seq=5)
        await store.append(A, [status_entry(7, "idle", "active")], expected_seq=6)

        head = await head_of(store, A)
        folded = Head.of(A, await store.read(A))
        folded.arrival = head.arrival
        assert head == folded
        assert (head.metadata, head.version) == ({"b": {"c": 2, "d": 3}}, 2)

    async def test_reading_takes_a_window(self, store: Store) -> None:
        await store.append(A, [*birth(), *messages_from(3, 8)], expected_seq=0)

        assert [entry.seq for entry in await store.read(A, after=4)] == [5, 6, 7, 8, 9, 10]
        assert [entry.seq for entry in await store.read(A, after=4, limit=2)] == [5, 6]
        assert [entry.seq for entry in await store.read(A, limit=3)] == [1, 2, 3]
        assert await store.read(A, after=10) == []
        assert await store.read(A, after=1000, limit=5) == []

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        with pytest.raises(SessionNotFound) as caught:
            await store.read(A)

        assert caught.value.session_id == A
        assert await store.head(A) is None
        assert await store.claim(A) is None
        assert await store.heads(limit=10) == []
        assert sum((await store.count()).values()) == 0

    async def test_a_journal_that_is_not_there_cannot_be_continued(self, store: Store) -> None:
        with pytest.raises(SessionNotFound):
            await store.append(A, [message_entry(3)], expected_seq=2)

        assert await store.head(A) is None

    async def test_a_journal_is_created_once(self, store: Store) -> None:
        await store.append(A, birth(owner="ada"), expected_seq=0)

        with pytest.raises(SessionExists) as caught:
            await store.append(A, birth(owner="eve"), expected_seq=0)

        assert caught.value.session_id == A
        assert (await head_of(store, A)).owner == "ada"
        assert await seqs(store, A) == [1, 2]

    async def test_of_many_creators_one_succeeds(self, store: Store) -> None:
        tries = [(birth(owner=f"owner {number}"), 0) for number in range(20)]

        results = await attempts(store, A, tries)

        assert sum(isinstance(result, Head) for result in results) == 1
        assert sum(isinstance(result, SessionExists) for result in results) == 19
        assert await seqs(store, A) == [1, 2]

    async def test_a_journal_begins_with_its_creation(self, store: Store) -> None:
        for entries in ([], [message_entry(1)], birth()[1:]):
            with pytest.raises(InvalidMessage):
                await store.append(A, entries, expected_seq=0)

        assert await store.head(A) is None

    # --- order ----------------------------------------------------------------------------------

    async def test_a_gap_is_refused_and_nothing_of_it_kept(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        before = await head_of(store, A)

        for entries in (
            [],
            [message_entry(4)],
            [message_entry(2)],
            [message_entry(3), message_entry(5)],
            [message_entry(3), message_entry(3)],
            [message_entry(4), message_entry(3)],
        ):
            with pytest.raises(InvalidMessage):
                await store.append(A, entries, expected_seq=2)

        assert await head_of(store, A) == before
        assert await seqs(store, A) == [1, 2]

    async def test_a_gap_in_a_new_journal_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidMessage):
            await store.append(A, [birth()[0], message_entry(3)], expected_seq=0)

        assert await store.head(A) is None

    async def test_a_writer_that_is_behind_or_ahead_is_told_the_head(self, store: Store) -> None:
        await store.append(A, [*birth(), *messages_from(3, 3)], expected_seq=0)

        for expected_seq in (1, 4, 6, 1000):
            with pytest.raises(StaleSequence) as caught:
                await store.append(A, [message_entry(expected_seq + 1)], expected_seq=expected_seq)
            assert caught.value.head_seq == 5

        assert await seqs(store, A) == [1, 2, 3, 4, 5]

    async def test_of_many_writers_at_one_place_one_succeeds(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        tries = [([message_entry(3, f"from {number}"), message_entry(4, f"from {number}")], 2) for number in range(20)]

        results = await attempts(store, A, tries)

        assert sum(isinstance(result, Head) for result in results) == 1
        assert sum(isinstance(result, StaleSequence) for result in results) == 19
        assert await seqs(store, A) == [1, 2, 3, 4]
        third, fourth = await store.read(A, after=2)
        assert third.data["content"] == fourth.data["content"]

    async def test_writers_that_try_again_all_come_through(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)

        async def write(name: str) -> None:
            for number in range(5):
                await self._append_somewhere(store, f"{name}.{number}")

        async with anyio.create_task_group() as tasks:
            for name in "pqrst":
                tasks.start_soon(write, name)

        said = [entry.data["content"] for entry in await store.read(A, after=2)]
        assert await seqs(store, A) == list(range(1, 28))
        assert sorted(said) == sorted(f"{name}.{number}" for name in "pqrst" for number in range(5))
        for name in "pqrst":
            assert [content for content in said if content[0] == name] == [f"{name}.{n}" for n in range(5)]

    async def _append_somewhere(self, store: Store, content: str) -> None:
        while True:
            seq = (await head_of(store, A)).seq
            await anyio.lowlevel.checkpoint()
            try:
                await store.append(A, [message_entry(seq + 1, content)], expected_seq=seq)
            except StaleSequence:
                continue
            return

    async def test_sessions_do_not_mix(self, store: Store) -> None:
        ids = [f"session_{number:03}" for number in range(20)]

        async def live(session_id: str) -> None:
            await store.append(session_id, birth(owner=session_id), expected_seq=0)
            for seq in range(3, 13):
                await store.append(session_id, [message_entry(seq, f"{session_id}: {seq}")], expected_seq=seq - 1)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for session_id in ids:
                tasks.start_soon(live, session_id)

        for session_id in ids:
            entries = await store.read(session_id, after=2)
            assert [entry.data["content"] for entry in entries] == [f"{session_id}: {seq}" for seq in range(3, 13)]
            assert (await head_of(store, session_id)).owner == session_id

    async def test_an_entry_that_cannot_be_read_is_not_written(self, store: Store) -> None:
        await store.append(A, [*birth(), message_entry(3, key="k")], expected_seq=0)
        before = await head_of(store, A)
        unreadable = Entry(5, EventType.CONVERSATION_ADDED, NOON, {"role": "user"}, None, 1)

        with pytest.raises(CorruptRecord):
            await store.append(A, [message_entry(4, key="new"), unreadable], expected_seq=3)

        assert await head_of(store, A) == before
        assert await seqs(store, A) == [1, 2, 3]
        await store.append(A, [message_entry(4, key="new")], expected_seq=3)
        with pytest.raises(DuplicateKey) as caught:
            await store.append(A, [message_entry(5, key="k")], expected_seq=4)
        assert caught.value.entry.seq == 3

    # --- what is handed out ---------------------------------------------------------------------

    async def test_nobody_changes_a_head_from_outside(self, store: Store) -> None:
        heads = [await store.append(A, birth(), expected_seq=0), await head_of(store, A)]
        claimed = await store.claim(A)
        assert claimed is not None
        heads += [claimed, (await store.heads(limit=1))[0][1]]
        before = await head_of(store, A)

        for head in heads:
            head.seq, head.epoch, head.status = 99, 99, SessionStatus.FAILED

        assert await head_of(store, A) == before

    async def test_a_head_that_was_handed_out_stays_as_it_was(self, store: Store) -> None:
        head = await store.append(A, birth(), expected_seq=0)
        again = await head_of(store, A)

        await store.append(A, [message_entry(3)], expected_seq=2)

        assert (head.seq, again.seq) == (2, 2)

    async def test_nobody_changes_a_journal_from_outside(self, store: Store) -> None:
        entries = birth()
        await store.append(A, entries, expected_seq=0)
        read = await store.read(A)

        entries.append(message_entry(3))
        read.clear()

        assert await seqs(store, A) == [1, 2]

    # --- the store itself -----------------------------------------------------------------------

    async def test_closing_twice_is_fine(self, store: Store) -> None:
        await store.close()
        await store.close()

    async def test_a_store_that_never_waits_does_not(self, store: Store) -> None:
        if not store.never_waits:
            pytest.skip("this one waits")
        append = store.append(A, birth(), expected_seq=0)

        with pytest.raises(StopIteration) as done:
            append.send(None)

        assert done.value.value.seq == 2
