"""Metadata is merged, versions are counted, and the same request takes effect once."""

import random
from functools import partial
from typing import Any

import pytest

from jidoka.client import Client
from jidoka.core.errors import IdempotencyConflict, VersionConflict
from jidoka.core.messages import Message, SessionInfo
from jidoka.testing.faults import kill_child, kill_supervisor
from tests.stories.kit import HeldStore, a_client, all_of, said, types_of


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}),
    ],
)
async def test_an_update_is_a_merge_patch(
    client: Client, before: dict[str, Any], patch: dict[str, Any], after: dict[str, Any]
) -> None:
    session = await client.create_session(metadata=before)

    info = await session.update(metadata=patch)

    assert (info.metadata, info.version) == (after, 2)
    assert await session.info() == info
    await kill_child(session, "context_manager")
    assert (await session.update(metadata={})).metadata == after


async def test_each_update_is_one_version_more_and_nothing_else_is(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")
    await session.add_file("a.py")
    await session.put_context("key", 1)
    await session.prompt("echo")
    await session.suspend()

    assert (await session.info()).version == 1
    for version in (2, 3, 4):
        assert (await session.update(metadata={"a": version}, expected_version=version - 1)).version == version


@pytest.mark.parametrize("expected", [1, 3, 100])
async def test_an_update_of_another_version_is_refused_with_the_present_one(client: Client, expected: int) -> None:
    session = await client.create_session()
    await session.update(metadata={"a": 1})

    with pytest.raises(VersionConflict) as caught:
        await session.update(metadata={"a": 2}, expected_version=expected)

    assert (caught.value.current_version, caught.value.expected_version) == (2, expected)
    assert (await session.info()).metadata == {"a": 1}


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "waiting"])
async def test_of_many_who_expect_one_version_one_wins(slow: bool) -> None:
    async with a_client(HeldStore() if slow else "memory://") as client:
        session = await client.create_session()

        outcomes = await all_of([partial(session.update, metadata={"by": n}, expected_version=1) for n in range(50)])

        won = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, SessionInfo)]
        assert len(won) == 1
        assert {o.current_version for o in outcomes if isinstance(o, VersionConflict)} == {2}
        assert (await session.info()).metadata == {"by": won[0]}


async def test_many_who_try_again_until_they_win_lose_no_update(client: Client) -> None:
    session = await client.create_session(metadata={"count": 0})

    async def count_one() -> None:
        while True:
            info = await session.info()
            try:
                await session.update(metadata={"count": info.metadata["count"] + 1}, expected_version=info.version)
                return
            except VersionConflict:
                continue

    await all_of([count_one] * 20)

    info = await session.info()
    assert (info.metadata, info.version) == ({"count": 20}, 21)


# --- idempotency keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "waiting"])
async def test_the_same_message_with_the_same_key_is_one_message(slow: bool) -> None:
    async with a_client(HeldStore() if slow else "memory://") as client:
        session = await client.create_session()

        messages = await all_of(
            [partial(session.send_message, "user", "hello", metadata={"a": 1}, idempotency_key="k")] * 50
        )

        assert all(isinstance(message, Message) for message in messages)
        assert len({(message.id, message.seq) for message in messages}) == 1
        assert await session.get_history() == [messages[0]]


@pytest.mark.parametrize(
    ("role", "content", "metadata"),
    [("user", "other", {"a": 1}), ("system", "hello", {"a": 1}), ("user", "hello", {"a": 2}), ("user", "hello", None)],
)
async def test_another_message_with_the_same_key_is_refused(
    client: Client, role: str, content: str, metadata: dict[str, Any] | None
) -> None:
    session = await client.create_session()
    first = await session.send_message("user", "hello", metadata={"a": 1}, idempotency_key="k")

    with pytest.raises(IdempotencyConflict) as caught:
        await session.send_message(role, content, metadata=metadata, idempotency_key="k")

    assert (caught.value.key, caught.value.seq) == ("k", first.seq)
    assert await session.get_history() == [first]


@pytest.mark.parametrize("kill", [kill_supervisor, lambda s: kill_child(s, "context_manager")], ids=["tree", "context"])
async def test_a_key_is_remembered_after_a_kill(client: Client, kill: Any) -> None:
    session = await client.create_session()
    first = await session.send_message("user", "hello", idempotency_key="k")
    await kill(session)

    assert await session.send_message("user", "hello", idempotency_key="k") == first
    with pytest.raises(IdempotencyConflict):
        await session.send_message("user", "other", idempotency_key="k")
    assert await said(session) == [("user", "hello")]


@pytest.mark.parametrize("between", ["suspend", "clear_history", "resume"])
async def test_a_key_is_remembered_whatever_happened_since(client: Client, between: str) -> None:
    session = await client.create_session()
    first = await session.send_message("user", "hello", idempotency_key="k")
    await getattr(session, between)()

    again = await session.send_message("user", "hello", idempotency_key="k")

    assert (again.id, again.seq) == (first.id, first.seq)
    assert (await types_of(client, session)).count("conversation_added") == 1


@pytest.mark.parametrize("other", ["prompt", "update"])
async def test_a_key_of_something_else_is_no_message(client: Client, other: str) -> None:
    session = await client.create_session()
    if other == "prompt":
        await session.prompt("hello", idempotency_key="k")
    else:
        await session.update(metadata={"a": 1})

    assert (await session.send_message("user", "hello", idempotency_key="k")).content == "hello"


@pytest.mark.parametrize("seed", range(10))
async def test_a_message_that_is_sent_again_until_it_is_answered_is_there_once(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    session = await client.create_session(config={"max_restarts": 1000})

    async def insist(number: int) -> None:
        for _ in range(chance.randrange(1, 4)):
            await session.send_message("user", f"{number}", idempotency_key=f"key {number}")
            if chance.random() < 0.3:
                await kill_child(session, "context_manager")

    await all_of([partial(insist, number) for number in range(20)])

    assert sorted(int(content) for _, content in await said(session)) == list(range(20))
