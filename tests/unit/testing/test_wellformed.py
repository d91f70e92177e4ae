"""What the tools say of journals that are wrong."""

import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.testing.entries import A, birth, message_entry, status_entry
from jidoka.testing.wellformed import all_well_formed, well_formed


def test_a_well_formed_journal_is_passed_over_in_silence() -> None:
    well_formed([*birth(), message_entry(3)])


def test_every_flaw_is_named_and_the_end_of_the_journal_shown() -> None:
    with pytest.raises(AssertionError, match=r"where entry 3 should be(.|\n)*4 conversation_added"):
        well_formed([*birth(), message_entry(4)])


async def test_every_journal_of_a_store_is_looked_at() -> None:
    async with Client() as client:
        sessions = [await client.create_session() for _ in range(150)]
        for session in sessions[:3]:
            await session.prompt("hello")

        journals = await all_well_formed(client.house.store, at_rest=True)

    assert sorted(journals) == sorted(session.id for session in sessions)
    assert len(journals[sessions[0].id]) == 6


async def test_one_bad_journal_among_many_is_noticed() -> None:
    store = MemoryStore()
    await store.append(A, [*birth(), status_entry(3, "active", "idle")], expected_seq=0)

    with pytest.raises(AssertionError, match="the session was active"):
        await all_well_formed(store)


async def test_an_open_turn_is_named_where_there_should_be_none() -> None:
    store = MemoryStore()
    started = message_entry(3)._replace(type="turn_started", data={"turn_id": "turn_a"})
    await store.append(A, [*birth(), started], expected_seq=0)

    await all_well_formed(store)
    with pytest.raises(AssertionError, match="turn_a"):
        await all_well_formed(store, at_rest=True)
