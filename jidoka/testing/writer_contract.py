"""What every store promises of a journal's writers: one at a time, each request once, none after the end."""

from __future__ import annotations

import anyio
import pytest

from jidoka.core.errors import (
    DuplicateKey,
    Fenced,
    InvalidMessage,
    SessionExists,
    SessionNotFound,
    Tombstoned,
)
from jidoka.core.heads import Head
from jidoka.core.status import SessionStatus
from jidoka.ports.store import Store
from jidoka.testing.entries import (
    A,
    B,
    attempts,
    birth,
    message_entry,
    seqs,
    visited,
)


@pytest.mark.anyio
class WriterContract:
    """Of writers: epochs, idempotency keys, tombstones."""

    async def test_a_claim_begins_an_epoch_and_changes_nothing_else(self, store: Store) -> None:
        before = await store.append(A, birth(), expected_seq=0)

        first, second = await store.claim(A), await store.claim(A)

        assert first is not None
        assert second is not None
        assert (before.epoch, first.epoch, second.epoch) == (1, 2, 3)
        second.epoch = before.epoch
        assert second == before
        assert await seqs(store, A) == [1, 2]

    async def test_an_older_writer_is_fenced(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        await store.claim(A)

        with pytest.raises(Fenced) as caught:
            await store.append(A, [message_entry(3)], expected_seq=2)

        assert (caught.value.epoch, caught.value.current) == (1, 2)
        assert await seqs(store, A) == [1, 2]

    async def test_the_newest_writer_goes_on(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        await store.claim(A)

        head = await store.append(A, [message_entry(3, epoch=2)], expected_seq=2)

        assert (head.seq, head.epoch) == (3, 2)
        assert [entry.epoch for entry in await store.read(A)] == [1, 1, 2]

    async def test_an_epoch_that_nobody_claimed_is_refused(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)

        for entries in ([message_entry(3, epoch=2)], [message_entry(3), message_entry(4, epoch=2)]):
            with pytest.raises(Fenced):
                await store.append(A, entries, expected_seq=2)

        assert await seqs(store, A) == [1, 2]

    async def test_a_fence_stands_before_the_order(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        await store.claim(A)

        with pytest.raises(Fenced):
            await store.append(A, [message_entry(8)], expected_seq=7)

    async def test_no_two_claims_are_the_same(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        epochs: list[int] = []

        async def claim() -> None:
            head = await store.claim(A)
            assert head is not None
            epochs.append(head.epoch)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(claim)

        assert sorted(epochs) == list(range(2, 12))

    async def test_of_several_who_saw_an_epoch_one_claims(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        outcomes: list[object] = []

        async def claim() -> None:
            try:
                outcomes.append(await store.claim(A, expected_epoch=1))
            except Fenced as fenced:
                outcomes.append(fenced)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(claim)

        (claimed,) = [outcome for outcome in outcomes if isinstance(outcome, Head)]
        assert claimed.epoch == 2
        assert {(fenced.epoch, fenced.current) for fenced in outcomes if isinstance(fenced, Fenced)} == {(1, 2)}
        assert await store.claim(B, expected_epoch=1) is None

    # --- idempotency keys -----------------------------------------------------------------------

    async def test_a_key_that_is_there_is_answered_with_its_entry(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        entry = message_entry(3, "once", key="k")
        await store.append(A, [entry], expected_seq=2)

        with pytest.raises(DuplicateKey) as caught:
            await store.append(A, [message_entry(4, "twice", key="k")], expected_seq=3)

        assert caught.value.entry == entry
        assert await seqs(store, A) == [1, 2, 3]

    async def test_a_key_is_looked_at_before_anything_else(self, store: Store) -> None:
        await store.append(A, [*birth(), message_entry(3, key="k")], expected_seq=0)
        await store.claim(A)

        for expected_seq in (0, 2, 3, 99):
            with pytest.raises(DuplicateKey) as caught:
                await store.append(A, [message_entry(expected_seq + 1, key="k")], expected_seq=expected_seq)
            assert caught.value.entry.seq == 3

    async def test_a_key_anywhere_in_a_batch_is_found(self, store: Store) -> None:
        await store.append(A, [*birth(key="born"), message_entry(3, key="k")], expected_seq=0)

        for key, seq in (("born", 1), ("k", 3)):
            with pytest.raises(DuplicateKey) as caught:
                await store.append(A, [message_entry(4), message_entry(5, key=key)], expected_seq=3)
            assert caught.value.entry.seq == seq

        assert await seqs(store, A) == [1, 2, 3]

    async def test_of_many_with_one_key_one_is_written(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)

        results = await attempts(store, A, [([message_entry(3, key="k")], 2)] * 50)

        assert sum(isinstance(result, Head) for result in results) == 1
        assert {result.entry.seq for result in results if isinstance(result, DuplicateKey)} == {3}
        assert await seqs(store, A) == [1, 2, 3]

    async def test_two_entries_of_one_batch_do_not_share_a_key(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)

        with pytest.raises(InvalidMessage):
            await store.append(A, [message_entry(3, key="k"), message_entry(4, key="k")], expected_seq=2)

        assert await seqs(store, A) == [1, 2]
        await store.append(A, [message_entry(3, key="k")], expected_seq=2)

    async def test_each_session_has_keys_of_its_own(self, store: Store) -> None:
        await store.append(A, [*birth(), message_entry(3, key="k")], expected_seq=0)

        await store.append(B, [*birth(), message_entry(3, key="k")], expected_seq=0)

        assert await seqs(store, B) == [1, 2, 3]

    async def test_an_entry_is_found_by_its_key(self, store: Store) -> None:
        entry = message_entry(3, key="k")
        await store.append(A, [*birth(), entry, message_entry(4)], expected_seq=0)
        await store.append(B, birth(), expected_seq=0)

        assert await store.entry_with(A, "k") == entry
        assert await store.entry_with(A, "other") is None
        assert await store.entry_with(B, "k") is None
        assert await store.entry_with("session_none", "k") is None

    # --- purging --------------------------------------------------------------------------------

    async def test_what_is_purged_is_gone(self, store: Store) -> None:
        await store.append(A, birth(owner="ada", metadata={"a": 1}), expected_seq=0)
        await store.append(B, birth(owner="ada"), expected_seq=0)

        await store.purge(A)

        with pytest.raises(SessionNotFound):
            await store.read(A)
        assert await store.head(A) is None
        assert await store.claim(A) is None
        assert await visited(store, limit=10) == [B]
        assert await visited(store, limit=10, owner="ada") == [B]
        assert await visited(store, limit=10, metadata={"a": 1}) == []
        assert await store.count(owner="ada") == {SessionStatus.ACTIVE: 1}

    async def test_purging_twice_or_nothing_is_fine(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)

        await store.purge(A)
        await store.purge(A)
        await store.purge(B)

        assert await visited(store, limit=10) == []

    async def test_a_late_writer_does_not_bring_it_back(self, store: Store) -> None:
        await store.append(A, birth(), expected_seq=0)
        await store.purge(A)

        with pytest.raises(Tombstoned) as caught:
            await store.append(A, [message_entry(3)], expected_seq=2)

        assert caught.value.session_id == A
        assert await store.head(A) is None

    async def test_a_purged_id_begins_again_in_a_later_epoch(self, store: Store) -> None:
        await store.append(A, [*birth(owner="ada"), message_entry(3, key="k")], expected_seq=0)
        await store.claim(A)
        await store.purge(A)

        head = await store.append(A, birth(owner="eve"), expected_seq=0)

        assert head.epoch > 2
        assert (head.owner, head.seq, head.message_count) == ("eve", 2, 0)
        assert [entry.epoch for entry in await store.read(A)] == [head.epoch] * 2
        for epoch in (1, 2):
            with pytest.raises(Fenced):
                await store.append(A, [message_entry(3, epoch=epoch)], expected_seq=2)
        await store.append(A, [message_entry(3, key="k", epoch=head.epoch)], expected_seq=2)
        assert await seqs(store, A) == [1, 2, 3]

    async def test_a_purged_session_has_no_keys(self, store: Store) -> None:
        await store.append(A, [*birth(), message_entry(3, key="k")], expected_seq=0)

        await store.purge(A)

        assert await store.entry_with(A, "k") is None

    # --- journals from elsewhere ----------------------------------------------------------------

    async def test_a_whole_journal_is_adopted_as_it_is(self, store: Store) -> None:
        entries = [*birth(owner="ada", metadata={"a": 1}), message_entry(3, key="k"), message_entry(4, epoch=3)]

        head = await store.adopt(A, entries, epoch=5)

        assert await store.read(A) == entries
        assert (head.seq, head.epoch, head.owner, head.message_count) == (4, 5, "ada", 2)
        assert await store.head(A) == head
        assert await visited(store, limit=10, owner="ada", metadata={"a": 1}) == [A]
        with pytest.raises(Fenced):
            await store.append(A, [message_entry(5, epoch=3)], expected_seq=4)
        with pytest.raises(DuplicateKey):
            await store.append(A, [message_entry(5, key="k", epoch=5)], expected_seq=4)
        await store.append(A, [message_entry(5, epoch=5)], expected_seq=4)

    async def test_only_a_whole_journal_is_adopted_and_only_where_there_is_none(self, store: Store) -> None:
        await store.append(B, birth(), expected_seq=0)

        for entries in ([], [message_entry(1)], [birth()[0], message_entry(3)]):
            with pytest.raises(InvalidMessage):
                await store.adopt(A, entries, epoch=1)
        with pytest.raises(SessionExists):
            await store.adopt(B, birth(), epoch=1)

        assert await store.head(A) is None
        assert await seqs(store, B) == [1, 2]
