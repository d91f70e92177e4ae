"""What every store promises of all its journals together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jidoka.core.status import SessionStatus
from jidoka.ports.store import Store
from jidoka.testing.entries import (
    NOON,
    A,
    B,
    C,
    birth,
    message_entry,
    messages_from,
    metadata_entry,
    status_entry,
    visited,
)


@pytest.mark.anyio
class ListingContract:
    """Of listings: their order, their pages, their filters."""

    async def test_heads_come_in_order_of_arrival(self, store: Store) -> None:
        for session_id in (C, A, B):
            await store.append(session_id, birth(), expected_seq=0)
        await store.append(C, [message_entry(3)], expected_seq=2)

        found = await store.heads(limit=10)

        assert [head.session_id for _, head in found] == [C, A, B]
        assert [arrival for arrival, _ in found] == sorted({arrival for arrival, _ in found})
        assert all(arrival == head.arrival for arrival, head in found)

    async def test_pages_visit_everybody_once(self, store: Store) -> None:
        ids = [f"session_{number:03}" for number in range(25)]
        for session_id in ids:
            await store.append(session_id, birth(), expected_seq=0)

        for limit in (1, 7, 24, 25, 26):
            assert await visited(store, limit=limit) == ids

    async def test_a_page_does_not_mind_who_comes_and_goes(self, store: Store) -> None:
        ids = [f"session_{number:03}" for number in range(10)]
        for session_id in ids:
            await store.append(session_id, birth(), expected_seq=0)
        first = await store.heads(limit=4)

        await store.purge(ids[1])
        await store.purge(ids[6])
        await store.append("session_new", birth(), expected_seq=0)
        rest = await store.heads(after=first[-1][0], limit=100)

        assert [head.session_id for _, head in rest] == [ids[4], ids[5], ids[7], ids[8], ids[9], "session_new"]

    async def test_heads_are_filtered_by_status(self, store: Store) -> None:
        for session_id in (A, B, C):
            await store.append(session_id, birth(), expected_seq=0)
        await store.append(B, [status_entry(3, "idle", "active")], expected_seq=2)
        await store.append(C, [status_entry(3, "terminating", "active")], expected_seq=2)
        await store.append(C, [status_entry(4, "terminated", "terminating")], expected_seq=3)

        assert await visited(store, limit=10, status=SessionStatus.ACTIVE) == [A]
        assert await visited(store, limit=10, status={SessionStatus.ACTIVE, SessionStatus.IDLE}) == [A, B]
        assert await visited(store, limit=10, status=SessionStatus.TERMINATED) == [C]
        assert await visited(store, limit=10, status=SessionStatus.FAILED) == []
        assert await visited(store, limit=10, status=[]) == []

    async def test_heads_are_filtered_by_owner(self, store: Store) -> None:
        await store.append(A, birth(owner="ada"), expected_seq=0)
        await store.append(B, birth(owner="eve"), expected_seq=0)
        await store.append(C, birth(), expected_seq=0)

        assert await visited(store, limit=10, owner="ada") == [A]
        assert await visited(store, limit=10, owner="ad") == []
        assert await visited(store, limit=10, owner="ADA") == []

    async def test_heads_are_filtered_by_metadata(self, store: Store) -> None:
        await store.append(A, birth(metadata={"project": "apollo", "n": 1, "tags": ["x", "y"]}), expected_seq=0)
        await store.append(B, birth(metadata={"project": "apollo", "n": True}), expected_seq=0)
        await store.append(C, birth(metadata={"other": "apollo", "in": {"project": "apollo"}}), expected_seq=0)

        assert await visited(store, limit=10, metadata={"project": "apollo"}) == [A, B]
        assert await visited(store, limit=10, metadata={"project": "apollo", "n": 1}) == [A]
        assert await visited(store, limit=10, metadata={"n": True}) == [B]
        assert await visited(store, limit=10, metadata={"tags": ["x", "y"]}) == [A]
        assert await visited(store, limit=10, metadata={"tags": ["x"]}) == []
        assert await visited(store, limit=10, metadata={"in": {"project": "apollo"}}) == [C]
        assert await visited(store, limit=10, metadata={"project": None}) == []
        assert await visited(store, limit=10, metadata={"project": "gemini"}) == []

    async def test_a_filter_sees_what_metadata_has_become(self, store: Store) -> None:
        await store.append(A, birth(metadata={"stage": "draft"}), expected_seq=0)
        await store.append(A, [metadata_entry(3, {"stage": "final"}, 2)], expected_seq=2)

        assert await visited(store, limit=10, metadata={"stage": "draft"}) == []
        assert await visited(store, limit=10, metadata={"stage": "final"}) == [A]

    async def test_filters_and_pages_go_together(self, store: Store) -> None:
        for number in range(30):
            owner, metadata = f"owner {number % 2}", {"third": number % 3}
            await store.append(f"session_{number:03}", birth(owner=owner, metadata=metadata), expected_seq=0)
        for number in range(0, 30, 5):
            await store.append(f"session_{number:03}", [status_entry(3, "idle", "active")], expected_seq=2)

        found = await visited(store, limit=2, owner="owner 0", metadata={"third": 0}, status=SessionStatus.ACTIVE)

        assert found == [f"session_{number:03}" for number in (6, 12, 18, 24)]

    async def test_sessions_are_counted_by_status(self, store: Store) -> None:
        for session_id, owner in ((A, "ada"), (B, "ada"), (C, "eve")):
            await store.append(session_id, birth(owner=owner), expected_seq=0)
        await store.append(B, [status_entry(3, "idle", "active")], expected_seq=2)

        everybody, adas, nobodys = (
            {status: number for status, number in counted.items() if number}
            for counted in (await store.count(), await store.count(owner="ada"), await store.count(owner="bob"))
        )

        assert everybody == {SessionStatus.ACTIVE: 2, SessionStatus.IDLE: 1}
        assert adas == {SessionStatus.ACTIVE: 1, SessionStatus.IDLE: 1}
        assert nobodys == {}

    # --- what rests, and for how long -----------------------------------------------------------

    async def test_heads_are_filtered_by_their_last_activity(self, store: Store) -> None:
        # Whatever a session does itself is no activity: only B's message is one.
        for session_id in (A, B):
            await store.append(session_id, birth(), expected_seq=0)
        await store.append(A, [status_entry(3, "idle", "active")], expected_seq=2)
        await store.append(B, [message_entry(60)._replace(seq=3)], expected_seq=2)

        def quiet(seconds: float) -> dict[str, object]:
            return {"quiet_before": NOON + timedelta(seconds=seconds)}

        assert await visited(store, limit=10, **quiet(0)) == []
        assert await visited(store, limit=10, **quiet(60)) == [A]
        assert await visited(store, limit=10, **quiet(61)) == [A, B]
        assert await visited(store, limit=1, **quiet(61), status="active") == [B]

    async def test_heads_are_filtered_by_when_they_expire(self, store: Store) -> None:
        aged = birth()
        aged[0] = aged[0]._replace(data={**aged[0].data, "config": {"max_age": 100}})
        await store.append(A, aged, expected_seq=0)
        await store.append(B, birth(), expected_seq=0)

        def expired(seconds: float) -> dict[str, object]:
            return {"expired_before": NOON + timedelta(seconds=seconds)}

        # A session that works does not expire, and one without a max_age never does.
        assert await visited(store, limit=10, **expired(10_000)) == []
        for session_id in (A, B):
            await store.append(session_id, [status_entry(3, "suspended", "active")], expected_seq=2)
        assert await visited(store, limit=10, **expired(100)) == []
        assert await visited(store, limit=10, **expired(101)) == [A]
        await store.append(A, [status_entry(4, "active", "suspended")], expected_seq=3)
        assert await visited(store, limit=10, **expired(10_000)) == []

    # --- looking for damage ---------------------------------------------------------------------

    async def test_a_sound_store_is_examined_page_by_page(self, store: Store) -> None:
        for number in range(7):
            await store.append(f"session_{number:03}", [*birth(), *messages_from(3, number)], expected_seq=0)
        await store.purge("session_003")

        after: int | None = 0
        pages = 0
        while after is not None:
            found, after = await store.examine(after=after, limit=2)
            assert found == []
            pages += 1

        assert 3 <= pages <= 4
