"""I11: the same key and the same words are one message, for ever; other words are a conflict."""

from datetime import timedelta
from functools import partial

import pytest

from jidoka.client import Client
from jidoka.core.errors import IdempotencyConflict
from jidoka.core.messages import Message
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.wellformed import all_well_formed
from jidoka.testing.world import VirtualWorld
from tests.proof.places import MakeStore
from tests.stories.kit import all_of

AT_ONCE = 50
A = "session_a"


async def send(session: Session, content: str = "hello") -> Message:
    return await session.send_message("user", content, metadata={"a": 1}, idempotency_key="key")


async def test_fifty_at_once_are_one_message_and_fifty_equal_answers(make_store: MakeStore) -> None:
    async with Client(make_store(), world=VirtualWorld()) as client:
        session = await client.create_session()

        answers = await all_of([partial(send, session)] * AT_ONCE)

        assert answers == [answers[0]] * AT_ONCE
        assert await session.get_history() == [answers[0]]


async def test_other_words_are_a_conflict_that_names_the_entry(make_store: MakeStore) -> None:
    async with Client(make_store(), world=VirtualWorld()) as client:
        session = await client.create_session()
        first = await send(session)

        answers = await all_of([partial(send, session, "goodbye")] * AT_ONCE)

        assert {(type(answer), answer.key, answer.seq) for answer in answers} == {
            (IdempotencyConflict, "key", first.seq)
        }
        assert await session.get_history() == [first]


async def test_a_key_is_kept_for_ever(make_store: MakeStore) -> None:
    """Over years, clearing, suspension, crashes and restarts of everything: as long as there is the journal."""
    place, world = make_store(), VirtualWorld()
    async with Client(place, world=world) as client:
        session = await client.create_session(session_id=A)
        first = await send(session)
        await kill_child(session, "context_manager")
        assert await send(session) == first
        await kill_supervisor(session)
        await session.clear_history()
        assert await send(session) == first
        await session.suspend()

    for _ in range(3):
        async with Client(place, world=world) as client:
            world.set_wall_clock(world.now() + timedelta(days=400))
            await world.advance(3600)
            session = client.session(A)
            assert await send(session) == first
            with pytest.raises(IdempotencyConflict):
                await send(session, "goodbye")
            assert await session.get_history() == []
            await all_well_formed(client.house.store)


async def test_a_turn_with_a_key_is_one_turn_for_ever(make_store: MakeStore) -> None:
    place, world = make_store(), VirtualWorld()
    model = ScriptedModel(["answer"])
    async with Client(place, models={"model": model}, world=world) as client:
        session = await client.create_session(session_id=A, llm_config={"model": "model"})
        first = await session.prompt("question", idempotency_key="key")

        assert await session.prompt("question", idempotency_key="key") == first

    async with Client(place, models={"model": model}, world=world) as client:
        session = client.session(A)
        assert await session.prompt("question", idempotency_key="key") == first
        with pytest.raises(IdempotencyConflict):
            await session.prompt("another", idempotency_key="key")
        assert len(model.seen) == 1
        await all_well_formed(client.house.store, at_rest=True)


async def test_a_key_goes_with_its_journal(make_store: MakeStore) -> None:
    async with Client(make_store(), world=VirtualWorld()) as client:
        session = await client.create_session(session_id=A)
        first = await send(session)
        await session.terminate(purge=True)

        session = await client.create_session(session_id=A)
        again = await send(session, "goodbye")

        assert again.id != first.id
        assert await session.get_history() == [again]
