"""What happens in one session stays there."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.session import Session
from tests.stories.kit import all_of, said, waiting_now

ACTS: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "send_message": lambda s: s.send_message("user", "secret"),
    "prompt": lambda s: s.prompt("secret"),
    "add_file": lambda s: s.add_file("secret.py"),
    "update_file_index": lambda s: s.update_file_index("secret.py", {"lines": 1}),
    "put_context": lambda s: s.put_context("secret", 1),
    "update": lambda s: s.update(metadata={"secret": 1}),
    "clear_history": lambda s: s.clear_history(),
    "halt": lambda s: s.halt(reason="secret"),
    "suspend": lambda s: s.suspend(),
    "terminate": lambda s: s.terminate(),
}


@pytest.mark.parametrize("act", ACTS)
async def test_another_session_neither_has_it_nor_hears_of_it(client: Client, act: str) -> None:
    mine, other = await client.create_session(), await client.create_session()
    await other.send_message("user", "my own")
    before = (await other.export(), await other.build_context(), await other.get_file_index())
    async with mine.subscribe() as here, other.subscribe() as there:
        await ACTS[act](mine)

        assert (await other.export(), await other.build_context(), await other.get_file_index()) == before
        assert await waiting_now(here)
        assert await waiting_now(there) == []


async def test_writers_of_many_sessions_do_not_mix(client: Client) -> None:
    sessions = await all_of([client.create_session] * 10)
    calls = [
        partial(session.send_message, "user", f"{session.id} {number}") for session in sessions for number in range(20)
    ]
    random.Random(1).shuffle(calls)

    await all_of(calls)

    for session in sessions:
        assert sorted(await said(session)) == sorted(("user", f"{session.id} {number}") for number in range(20))
        assert {message.session_id for message in await session.get_history()} == {session.id}


async def test_sessions_have_their_own_file_caches_and_there_is_one_for_everybody(client: Client) -> None:
    files = client.files
    mine, other = await client.create_session(), await client.create_session()
    for owner, content in ((mine.id, "mine"), (other.id, "other"), (None, "everybody's")):
        files.cache_file("a.py", content, session_id=owner)

    files.invalidate_file("a.py", session_id=mine.id)

    assert files.get_file("a.py", session_id=mine.id) is None
    assert files.get_file("a.py", session_id=other.id).content == "other"  # pyright: ignore
    assert files.get_file("a.py").content == "everybody's"  # pyright: ignore
    files.invalidate_file("a.py")


async def test_a_file_that_is_removed_is_cached_no_more(client: Client) -> None:
    mine, other = await client.create_session(), await client.create_session()
    for session in (mine, other):
        await session.add_file("a.py")
        client.files.cache_file("a.py", "text", session_id=session.id)

    await mine.remove_file("a.py")

    assert client.files.get_file("a.py", session_id=mine.id) is None
    assert client.files.get_file("a.py", session_id=other.id) is not None


async def test_the_same_key_in_two_sessions_is_two_messages(client: Client) -> None:
    mine, other = await client.create_session(), await client.create_session()

    for session in (mine, other):
        await session.send_message("user", session.id, idempotency_key="the same")

    assert await said(mine) == [("user", mine.id)]
    assert await said(other) == [("user", other.id)]


async def test_two_clients_know_nothing_of_each_other(client: Client) -> None:
    session = await client.create_session(session_id="in_both_of_them")

    async with Client() as other:
        assert await other.list_sessions() == []
        twin = await other.create_session(session_id="in_both_of_them")
        await twin.send_message("user", "hello")

    assert await said(session) == []


async def test_what_one_reads_cannot_be_used_to_change_what_another_reads(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello", metadata={"list": [1]})
    await session.put_context("plan", {"steps": [1]})
    await session.update_file_index("a.py", {"tags": ["x"]})

    history = await session.get_history()
    history.clear()
    plan = await session.get_context("plan")
    index = await session.get_file_index()
    index.clear()
    for attempt in (
        lambda: plan["steps"].append(2),
        lambda: plan.update(more=1),
        lambda: plan.pop("steps"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            attempt()

    assert await said(session) == [("user", "hello")]
    assert await session.get_context("plan") == {"steps": [1]}
    assert (await session.get_file_index())["a.py"]["tags"] == ["x"]


async def test_concurrent_turns_of_different_sessions_do_not_mix(client: Client) -> None:
    sessions = await all_of([client.create_session] * 20)

    answers = await all_of([partial(session.prompt, f"I am {session.id}") for session in sessions])

    assert [answer.content for answer in answers] == [f"I am {session.id}" for session in sessions]
    await anyio.wait_all_tasks_blocked()
    for session in sessions:
        assert await said(session) == [("user", f"I am {session.id}"), ("assistant", f"I am {session.id}")]
