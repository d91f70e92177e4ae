"""What a session keeps: history, files, the file index, the working context, and the window a model sees of it."""

from itertools import combinations
from typing import Any

import pytest

from jidoka.client import Client
from jidoka.core.context import PARTS
from jidoka.core.errors import InvalidMessage
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import a_client, said, types_of

# --- history ----------------------------------------------------------------------------------------------------------


async def talked(client: Client, count: int = 10) -> Session:
    """A session with so many messages, from entry 3 on."""
    session = await client.create_session()
    for number in range(count):
        await session.send_message("user", f"message {number}")
    return session


async def test_a_history_is_empty_at_first(client: Client) -> None:
    assert await (await client.create_session()).get_history() == []


async def test_messages_come_back_in_order_with_all_they_had(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    sent = []
    for role in ("system", "user", "assistant", "tool"):
        await world.advance(1)
        sent.append(await session.send_message(role, f"I am {role}\n🦔", metadata={"role": role}))

    assert await session.get_history() == sent
    assert [message.seq for message in sent] == [3, 4, 5, 6]
    assert len({message.id for message in sent}) == 4
    assert [message.role for message in sent] == ["system", "user", "assistant", "tool"]
    assert [(message.at - sent[0].at).total_seconds() for message in sent] == [0, 1, 2, 3]
    assert sent[0].timestamp == sent[0].created_at == sent[0].at


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, range(10)),
        ({"after": 0}, range(10)),
        ({"after": 2}, range(10)),
        ({"after": 3}, range(1, 10)),
        ({"after": 11}, [9]),
        ({"after": 12}, []),
        ({"after": 10_000}, []),
        ({"limit": 1}, [9]),
        ({"limit": 3}, [7, 8, 9]),
        ({"limit": 100}, range(10)),
        ({"after": 9, "limit": 2}, [8, 9]),
        ({"after": 9, "limit": 100}, [7, 8, 9]),
    ],
)
@pytest.mark.parametrize("is_killed", [False, True], ids=["", "killed"])
async def test_a_history_is_read_through_a_window(
    client: Client, options: dict[str, int], numbers: Any, is_killed: bool
) -> None:
    session = await talked(client)
    if is_killed:
        await kill_child(session, "context_manager")

    history = await session.get_history(**options)

    assert [message.content for message in history] == [f"message {number}" for number in numbers]


async def test_a_history_that_is_cleared_is_empty_and_its_journal_is_not(client: Client) -> None:
    session = await talked(client, 3)

    await session.clear_history()

    assert await said(session) == []
    assert (await session.info()).message_count == 0
    assert (await session.context_stats()).estimated_tokens == 0
    await session.send_message("user", "anew")
    await kill_child(session, "context_manager")
    assert await said(session) == [("user", "anew")]
    types = await types_of(client, session)
    assert [types.count(type) for type in ("conversation_added", "conversation_cleared")] == [4, 1]


# --- files ------------------------------------------------------------------------------------------------------------


async def paths(session: Session) -> list[str]:
    return [file.path for file in await session.get_active_files()]


async def test_a_file_is_there_once_and_told_once(client: Client) -> None:
    session = await client.create_session()

    for _ in range(3):
        files = await session.add_file("a.py")

    assert [file.path for file in files] == await paths(session) == ["a.py"]
    assert (await types_of(client, session)).count("file_added") == 1


async def test_the_oldest_file_goes_when_there_are_too_many(client: Client) -> None:
    session = await client.create_session(config={"max_files": 3})

    for name in "abcde":
        await session.add_file(f"{name}.py")

    assert await paths(session) == ["c.py", "d.py", "e.py"]
    told = [
        (str(entry.type), entry.data["path"])
        for entry in await client.house.store.read(session.id)
        if entry.type.startswith("file_")
    ]
    assert told[3:] == [
        ("file_removed", "a.py"),
        ("file_added", "d.py"),
        ("file_removed", "b.py"),
        ("file_added", "e.py"),
    ]
    await kill_child(session, "context_manager")
    assert await paths(session) == ["c.py", "d.py", "e.py"]


async def test_fifty_files_are_kept_by_default(client: Client) -> None:
    session = await client.create_session()

    for number in range(60):
        await session.add_file(f"{number}.py")

    assert await paths(session) == [f"{number}.py" for number in range(10, 60)]


async def test_a_file_that_is_removed_leaves_the_index_too(client: Client) -> None:
    session = await client.create_session()
    for name in ("a.py", "b.py"):
        await session.add_file(name)
        await session.update_file_index(name, {"lines": 1})

    files = await session.remove_file("a.py")

    assert [file.path for file in files] == ["b.py"]
    assert set(await session.get_file_index()) == {"b.py"}
    assert [file.path for file in await session.remove_file("not there")] == ["b.py"]
    assert (await types_of(client, session)).count("file_removed") == 1


async def test_a_file_may_be_in_the_index_without_being_active(client: Client) -> None:
    session = await client.create_session()

    await session.update_file_index("a.py", {"lines": 1})
    assert await paths(session) == []
    await session.remove_file("a.py")

    assert await session.get_file_index() == {}


async def test_an_index_merges_and_stamps(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    await session.update_file_index("a.py", {"lines": 1, "tags": ["x"]})
    await world.advance(60)

    index = await session.update_file_index("a.py", {"lines": 2, "owner": None})

    assert index == {
        "a.py": {"lines": 2, "tags": ["x"], "owner": None, "last_accessed": world.now().isoformat()},
    }
    await world.advance(60)
    await kill_child(session, "context_manager")
    assert await session.get_file_index() == index


# --- the working context ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, True, 0, -1.5, 2**70, "", "🦔", [], {}, [[{"a": [None]}]], {"": {"b": 1}}])
async def test_any_json_value_is_kept_under_a_key(client: Client, value: Any) -> None:
    session = await client.create_session()

    await session.put_context("key", value)
    await kill_child(session, "context_manager")

    kept = await session.get_context("key")
    assert kept == value
    assert isinstance(kept, type(value)) or isinstance(value, dict | list)


async def test_a_working_context_is_a_small_dictionary(client: Client) -> None:
    session = await client.create_session()
    await session.put_context("b", 1)
    await session.put_context("a", 2)
    await session.put_context("b", 3)

    assert await session.context_keys() == ["a", "b"]
    assert [await session.get_context(key) for key in ("a", "b", "c")] == [2, 3, None]

    await session.delete_context("a")
    await session.delete_context("never there")
    assert await session.context_keys() == ["b"]


@pytest.mark.parametrize("room", [0, 1, 3])
async def test_a_working_context_that_is_full_refuses_new_keys_and_no_others(client: Client, room: int) -> None:
    session = await client.create_session(config={"max_context_items": room})
    for number in range(room):
        await session.put_context(f"key {number}", number)

    with pytest.raises(InvalidMessage, match="full"):
        await session.put_context("one more", 1)

    for number in range(room):
        await session.put_context(f"key {number}", "other")
    assert len(await session.context_keys()) == room
    if room:
        await session.delete_context("key 0")
        await session.put_context("one more", 1)


# --- what a model sees ------------------------------------------------------------------------------------------------


async def furnished(client: Client) -> Session:
    session = await talked(client, 5)
    for name in "abc":
        await session.add_file(f"{name}.py")
    await session.update_file_index("a.py", {"lines": 1})
    await session.put_context("plan", [1])
    return session


SUBSETS = [subset for size in range(5) for subset in combinations(PARTS, size)]


@pytest.mark.parametrize("include", SUBSETS, ids="+".join)
async def test_a_context_has_the_parts_that_were_asked_for_and_always_the_counts(
    client: Client, world: VirtualWorld, include: tuple[str, ...]
) -> None:
    session = await furnished(client)

    context = await session.build_context(include)

    assert [message.content for message in context.conversation] == (
        [f"message {number}" for number in range(5)] if "conversation" in include else []
    )
    assert [file.path for file in context.files] == (["a.py", "b.py", "c.py"] if "files" in include else [])
    assert set(context.file_index) == ({"a.py"} if "file_index" in include else set())
    assert dict(context.working_context) == ({"plan": [1]} if "working_context" in include else {})
    assert context.session_id == session.id
    assert context.metadata == {
        "conversation_count": 5,
        "active_file_count": 3,
        "timestamp": world.now().isoformat(),
    }


async def test_everything_is_included_when_nothing_is_said(client: Client) -> None:
    session = await furnished(client)

    assert (
        await session.build_context() == await session.build_context(PARTS) == await session.build_context(list(PARTS))
    )


@pytest.mark.parametrize(
    ("options", "messages", "files"),
    [
        ({"max_messages": 2}, [3, 4], "abc"),
        ({"max_messages": 0}, [], "abc"),
        ({"max_messages": 100}, range(5), "abc"),
        ({"max_files": 2}, range(5), "bc"),
        ({"max_files": 0}, range(5), ""),
        ({"max_tokens": 4}, [3, 4], "abc"),
        ({"max_tokens": 5}, [3, 4], "abc"),
        ({"max_tokens": 0}, [], "abc"),
        ({"max_tokens": 10}, range(5), "abc"),
        ({"max_tokens": 6, "max_messages": 1}, [4], "abc"),
        ({"max_messages": 1, "max_files": 1}, [4], "c"),
    ],
)
async def test_a_context_is_the_newest_that_fits(
    client: Client, options: dict[str, int], messages: Any, files: str
) -> None:
    session = await furnished(client)

    context = await session.build_context(**options)

    assert [message.content for message in context.conversation] == [f"message {number}" for number in messages]
    assert [file.path for file in context.files] == [f"{name}.py" for name in files]
    assert len(await session.get_history()) == 5


async def test_stats_count_and_estimate(client: Client) -> None:
    session = await client.create_session(metadata={"cycle_count": 7})
    await session.send_message("user", "x" * 400)
    await session.send_message("assistant", "y" * 800)
    await session.add_file("a.py")

    stats = await session.context_stats()

    assert (stats.message_count, stats.estimated_tokens, stats.active_file_count) == (2, 300, 1)
    assert (stats.max_context_tokens, stats.context_percentage, stats.cycle_count) == (120_000, 0.25, 7)
    assert stats.session_id == session.id


async def test_the_budget_of_a_context_is_a_setting(world: VirtualWorld) -> None:
    async with a_client(world=world, max_context_tokens=1000) as client:
        session = await client.create_session()
        await session.send_message("user", "x" * 3000)

        assert (await session.context_stats()).context_percentage == 75.0


async def test_turns_are_counted_as_cycles(client: Client) -> None:
    session = await client.create_session()

    for _ in range(3):
        await session.prompt("hello")

    assert (await session.context_stats()).cycle_count == 3
