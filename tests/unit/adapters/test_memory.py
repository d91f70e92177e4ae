"""What is particular to the memory store. What every store promises is in tests/contract."""

import random
from collections import Counter
from typing import Any

import pytest

from jidoka.adapters.memory import BLOCK, MemoryStore
from jidoka.core.entries import Entry
from jidoka.core.lifecycle import MOVES
from jidoka.core.status import SessionStatus
from jidoka.testing.entries import A, B, birth, head_of, message_entry, metadata_entry, status_entry, visited


async def many(count: int, store: MemoryStore | None = None, **birth_options: Any) -> MemoryStore:
    store = store or MemoryStore()
    for number in range(count):
        await store.append(f"session_{number:05}", birth(**birth_options), expected_seq=0)
    return store


async def test_a_session_without_keys_has_no_index_of_them() -> None:
    store = await many(2)
    await store.append("session_00001", [message_entry(3, key="k")], expected_seq=2)

    keys = [journal.keys for journal in store._journals.values()]  # pyright: ignore[reportPrivateUsage]

    assert keys == [None, {"k": 2}]


async def test_listings_skip_blocks_that_have_nothing_of_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    store = await many(BLOCK * 3)
    last = f"session_{BLOCK * 3 - 1:05}"
    await store.append(last, [status_entry(3, "idle", "active")], expected_seq=2)

    blocks = store._blocks  # pyright: ignore[reportPrivateUsage]

    assert [SessionStatus.IDLE in block for block in blocks] == [False, False, True]
    assert await visited(store, limit=10, status=SessionStatus.IDLE) == [last]


async def test_pages_do_not_mind_the_blocks() -> None:
    store = await many(BLOCK * 2 + 3)
    ids = [f"session_{number:05}" for number in range(BLOCK * 2 + 3)]

    for limit in (100, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK * 3):
        assert await visited(store, limit=limit) == ids
        assert await visited(store, limit=limit, status=SessionStatus.ACTIVE) == ids


async def test_counts_stay_right_whatever_happens() -> None:
    chance = random.Random(4)
    store = MemoryStore()
    living: dict[str, str | None] = {}
    for number in range(3 * BLOCK):
        session_id, owner = f"session_{number:05}", chance.choice(["ada", "eve", None])
        await store.append(session_id, birth(owner=owner), expected_seq=0)
        living[session_id] = owner
        for other in chance.sample(sorted(living), k=min(2, len(living))):
            if chance.random() < 0.2:
                await store.purge(other)
                del living[other]
            else:
                await _move(store, other, chance)

    for owner in (None, "ada", "eve", "bob"):
        mine = [id for id, whose in living.items() if owner in (None, whose)]
        expected = Counter([(await head_of(store, id)).status for id in mine])
        counted = await store.count(owner=owner)
        assert {status: number for status, number in counted.items() if number} == dict(expected)
        assert await visited(store, limit=100, owner=owner) == sorted(mine)
        for status in SessionStatus:
            found = await visited(store, limit=50, owner=owner, status=status)
            assert len(found) == expected[status]


async def _move(store: MemoryStore, session_id: str, chance: random.Random) -> None:
    head = await head_of(store, session_id)
    targets = sorted(MOVES[head.status])
    if targets:
        entry = status_entry(head.seq + 1, chance.choice(targets), head.status)
        await store.append(session_id, [entry], expected_seq=head.seq)


async def test_a_failed_append_leaves_owner_and_status_as_they_were() -> None:
    store = await many(1, owner="ada")
    bad = [status_entry(3, "idle", "active"), Entry(4, "turn_started", birth()[0].at, {}, None, 1)]

    with pytest.raises(Exception, match="entry 4"):
        await store.append("session_00000", bad, expected_seq=2)

    assert await store.count() == {SessionStatus.ACTIVE: 1}
    assert await visited(store, limit=9, status=SessionStatus.IDLE) == []


async def test_a_claimed_epoch_survives_a_failed_append() -> None:
    store = await many(1)
    await store.claim("session_00000")

    with pytest.raises(Exception, match="entry 3"):
        await store.append("session_00000", [Entry(3, "turn_started", birth()[0].at, {}, None, 2)], expected_seq=2)

    assert (await head_of(store, "session_00000")).epoch == 2


async def test_metadata_of_a_head_is_frozen() -> None:
    store = MemoryStore()
    await store.append(A, birth(metadata={"tags": ["x"]}), expected_seq=0)
    await store.append(A, [metadata_entry(3, {"more": {"a": [1]}}, 2)], expected_seq=2)

    head = await head_of(store, A)

    with pytest.raises(TypeError):
        head.metadata["tags"].append("y")
    with pytest.raises(TypeError):
        head.metadata["more"]["a"].append(2)


async def test_stores_know_nothing_of_each_other() -> None:
    one, other = MemoryStore(), MemoryStore()
    await one.append(A, birth(), expected_seq=0)
    await other.append(B, birth(), expected_seq=0)

    assert (await visited(one, limit=9), await visited(other, limit=9)) == ([A], [B])
    assert repr(one) == "<MemoryStore: 1 sessions>"
