"""A session's life: born, at work, at rest, and over."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import (
    InvalidSessionId,
    InvalidTransition,
    JidokaError,
    SessionExists,
    SessionFailed,
    SessionNotFound,
    SessionTerminated,
)
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import a_client, all_of, moves, said, types_of

ODD_METADATA: dict[str, Any] = {
    "text": "Zürich, 東京 and 🦔",
    "large": 2**63 + 1,
    "fraction": 0.1,
    "nothing": None,
    "empty": {"object": {}, "list": [], "text": ""},
    "nested": [{"a": [1, [2, [3]]]}],
    "": "a key without a letter",
}


# --- being born -------------------------------------------------------------------------------------------------------


async def test_a_session_is_active_when_create_returns(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()

    info = await session.info()
    assert info.status is SessionStatus.ACTIVE
    assert (info.version, info.incarnation, info.message_count, info.owner, info.error) == (1, 1, 0, None, None)
    assert info.created_at == info.updated_at == info.last_activity_at == world.now()
    assert info.created_at.utcoffset().total_seconds() == 0  # pyright: ignore
    assert info.session_id == info.id == session.id


async def test_a_journal_begins_with_the_birth_and_the_first_status(client: Client) -> None:
    session = await client.create_session()

    first, second = await client.house.store.read(session.id)
    assert first.type == "session_created"
    assert (second.type, second.data) == ("session_status", {"status": "active", "previous_status": "initializing"})


async def test_a_default_id_is_a_session_and_a_uuid(client: Client) -> None:
    session = await client.create_session()

    assert re.fullmatch(r"session_[0-9a-f]{32}", session.id)


@pytest.mark.parametrize(
    "session_id", ["a2345678", "A2345678", "0-------", "a_______", "x" * 64, "Session-with_all-3", "12345678"]
)
async def test_an_id_of_ones_own_is_kept(client: Client, session_id: str) -> None:
    session = await client.create_session(session_id=session_id)

    assert session.id == session_id
    assert (await session.info()).session_id == session_id


async def test_an_id_that_is_taken_is_refused(client: Client) -> None:
    await client.create_session(session_id="taken_id_1", owner="ada")

    with pytest.raises(SessionExists) as caught:
        await client.create_session(session_id="taken_id_1", owner="eve")

    assert caught.value.session_id == "taken_id_1"
    assert (await client.get_session_info("taken_id_1")).owner == "ada"


@pytest.mark.parametrize("ending", ["terminate", "suspend"])
async def test_an_id_stays_taken_while_its_journal_is_kept(client: Client, ending: str) -> None:
    session = await client.create_session()
    await getattr(session, ending)()

    with pytest.raises(SessionExists):
        await client.create_session(session_id=session.id)


async def test_of_many_who_want_one_id_one_gets_it(client: Client) -> None:
    outcomes = await all_of([lambda: client.create_session(session_id="wanted_by_all")] * 20)

    assert sum(isinstance(outcome, Session) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, SessionExists) for outcome in outcomes) == 19


async def test_twenty_sessions_at_once_are_twenty_sessions(client: Client) -> None:
    sessions = await all_of([client.create_session] * 20)

    listed = await client.list_sessions()
    assert len({session.id for session in sessions}) == 20
    assert {info.session_id for info in listed} == {session.id for session in sessions}
    assert {info.status for info in listed} == {SessionStatus.ACTIVE}


@pytest.mark.parametrize(
    "metadata", [None, {}, {"project": "apollo"}, ODD_METADATA], ids=["none", "empty", "one", "odd"]
)
async def test_metadata_and_model_options_are_kept_as_they_are(client: Client, metadata: dict[str, Any] | None) -> None:
    llm_config = {"model": "echo", "temperature": 0.1, "stop": ["a", "b"], "output_schema": {"x": [None]}}

    session = await client.create_session(owner="ada", metadata=metadata, llm_config=llm_config)

    info = await session.info()
    assert (info.owner, info.metadata, info.llm_config) == ("ada", metadata or {}, llm_config)


async def test_what_the_caller_does_to_its_metadata_afterwards_changes_nothing(client: Client) -> None:
    metadata: dict[str, Any] = {"list": [1], "object": {"a": 1}}
    session = await client.create_session(metadata=metadata)

    metadata["list"].append(2)
    metadata["object"]["b"] = 2
    metadata["more"] = True

    assert (await session.info()).metadata == {"list": [1], "object": {"a": 1}}


async def test_what_is_returned_cannot_be_changed_and_survives_json(client: Client) -> None:
    session = await client.create_session(metadata=ODD_METADATA)
    message = await session.send_message("user", "hello 🦔", metadata=ODD_METADATA)
    info = await session.info()

    for model in (message, info, await session.build_context(), await session.context_stats(), await client.stats()):
        assert type(model).model_validate_json(model.model_dump_json()) == model
        with pytest.raises(ValueError, match="frozen"):
            setattr(model, next(iter(type(model).model_fields)), "other")
    with pytest.raises(TypeError):
        info.metadata["text"] = "other"


async def test_a_handle_does_nothing_until_it_is_used(client: Client) -> None:
    handle = client.session("nobody_there")

    with pytest.raises(SessionNotFound) as caught:
        await handle.info()
    assert caught.value.session_id == "nobody_there"


async def test_handles_of_one_session_are_equal(client: Client) -> None:
    session = await client.create_session()

    assert client.session(session.id) == session
    assert len({session, client.session(session.id)}) == 1


# --- moving -----------------------------------------------------------------------------------------------------------


async def brought_to(client: Client, status: str, world: VirtualWorld) -> Session:
    """A session that is *status*."""
    config = {"max_restarts": 0, "idle_after": 10, "suspend_after": 1000}
    session = await client.create_session(config=config)
    match status:
        case "idle":
            await world.advance(11)
        case "waiting_input":
            await session.halt(reason="look at this")
        case "suspended":
            await session.suspend()
        case "failed":
            await kill_child(session, "context_manager")
            await world.advance(0)
        case "terminated":
            await session.terminate()
        case _:
            pass
    assert (await session.info()).status == status
    return session


LEGAL = [
    ("active", "suspend", ["suspended"]),
    ("active", "resume", []),
    ("active", "halt", ["waiting_input"]),
    ("active", "terminate", ["terminating", "terminated"]),
    ("idle", "suspend", ["suspended"]),
    ("idle", "resume", ["active"]),
    ("idle", "halt", ["active", "waiting_input"]),
    ("idle", "send_message", ["active"]),
    ("idle", "terminate", ["terminating", "terminated"]),
    ("waiting_input", "approve", ["active"]),
    ("waiting_input", "reject", ["active"]),
    ("waiting_input", "send_input", ["active"]),
    ("waiting_input", "resume", ["active"]),
    ("waiting_input", "suspend", ["suspended"]),
    ("waiting_input", "halt", []),
    ("waiting_input", "send_message", []),
    ("waiting_input", "terminate", ["terminating", "terminated"]),
    ("suspended", "resume", ["active"]),
    ("suspended", "suspend", []),
    ("suspended", "send_message", ["active"]),
    ("suspended", "get_history", ["active"]),
    ("suspended", "halt", ["active", "waiting_input"]),
    ("suspended", "terminate", ["terminating", "terminated"]),
    ("failed", "resume", ["active"]),
    ("failed", "terminate", ["terminating", "terminated"]),
    ("terminated", "terminate", []),
]

ILLEGAL: list[tuple[str, str, type[JidokaError]]] = [
    ("active", "approve", InvalidTransition),
    ("active", "reject", InvalidTransition),
    ("active", "send_input", InvalidTransition),
    ("idle", "approve", InvalidTransition),
    ("suspended", "approve", InvalidTransition),
    ("waiting_input", "prompt", InvalidTransition),
    ("failed", "suspend", InvalidTransition),
    *[
        ("failed", name, SessionFailed)
        for name in ("send_message", "get_history", "halt", "prompt", "get_ref", "update")
    ],
    *[
        ("terminated", name, SessionTerminated)
        for name in (
            *("send_message", "get_history", "clear_history", "prompt", "stream", "cancel_turn", "halt", "approve"),
            *("send_input", "suspend", "resume", "update", "add_file", "get_active_files", "get_file_index"),
            *("put_context", "get_context", "context_keys", "build_context", "context_stats", "which_children"),
            *("get_ref", "get_llm_agent_ref", "update_file_index", "remove_file", "delete_context", "reject"),
        )
    ],
]


async def streamed(session: Session) -> str:
    async with session.stream("hello") as turn:
        return await turn.text()


ARGUMENTS: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "send_message": lambda s: s.send_message("user", "hello"),
    "prompt": lambda s: s.prompt("hello"),
    "stream": streamed,
    "halt": lambda s: s.halt(reason="look at this"),
    "approve": lambda s: s.approve(decision="approve"),
    "reject": lambda s: s.approve(decision="reject"),
    "send_input": lambda s: s.send_input("go on"),
    "update": lambda s: s.update(metadata={"a": 1}),
    "add_file": lambda s: s.add_file("a.py"),
    "remove_file": lambda s: s.remove_file("a.py"),
    "update_file_index": lambda s: s.update_file_index("a.py", {}),
    "put_context": lambda s: s.put_context("key", 1),
    "get_context": lambda s: s.get_context("key"),
    "delete_context": lambda s: s.delete_context("key"),
}


async def do(session: Session, name: str) -> Any:
    """One of the things that a session can be asked to do."""
    act = ARGUMENTS.get(name)
    return await (getattr(session, name)() if act is None else act(session))


@pytest.mark.parametrize(("status", "act", "through"), LEGAL, ids=[f"{row[0]}-{row[1]}" for row in LEGAL])
async def test_a_legal_move_is_made_and_recorded(
    client: Client, world: VirtualWorld, status: str, act: str, through: list[str]
) -> None:
    session = await brought_to(client, status, world)
    before = await moves(client, session)

    await do(session, act)

    assert (await moves(client, session))[len(before) :] == through
    assert (await session.info()).status == (through or [status])[-1]


@pytest.mark.parametrize(("status", "act", "error"), ILLEGAL, ids=[f"{row[0]}-{row[1]}" for row in ILLEGAL])
async def test_an_illegal_move_is_refused_by_name_and_leaves_everything_as_it_was(
    client: Client, world: VirtualWorld, status: str, act: str, error: type[JidokaError]
) -> None:
    session = await brought_to(client, status, world)

    with pytest.raises(error) as caught:
        await do(session, act)

    assert type(caught.value) is error
    # What was asked of a suspended session has woken it before it was refused.
    assert (await session.info()).status == ("active" if status == "suspended" else status)


@pytest.mark.parametrize(
    "act",
    [
        *("info", "terminate", "suspend", "resume", "fork", "export", "send_message", "get_history", "clear_history"),
        *("prompt", "stream", "cancel_turn", "send_input", "halt", "approve", "update", "add_file", "remove_file"),
        *("get_active_files", "update_file_index", "get_file_index", "put_context", "get_context", "delete_context"),
        *("context_keys", "build_context", "context_stats", "which_children", "get_ref", "get_llm_agent_ref"),
    ],
)
@pytest.mark.parametrize(
    ("session_id", "error"), [("nobody_there", SessionNotFound), ("short", InvalidSessionId), (7, InvalidSessionId)]
)
async def test_every_method_knows_when_there_is_no_such_session(
    client: Client, act: str, session_id: Any, error: type[JidokaError]
) -> None:
    with pytest.raises(error):
        await do(client.session(session_id), act)


async def test_every_move_of_a_whole_life_is_in_the_table(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 0, "idle_after": 10, "suspend_after": 20})
    await world.advance(11)
    await session.resume()
    await session.halt(reason="wait")
    await session.approve(decision="approve")
    await world.advance(21)
    await session.resume()
    await kill_child(session, "context_manager")
    await world.advance(0)
    await session.resume()
    await session.terminate(reason="enough")

    pairs = [
        (entry.data["previous_status"], entry.data["status"])
        for entry in await client.house.store.read(session.id)
        if entry.type == "session_status"
    ]
    assert pairs == [
        ("initializing", "active"),
        ("active", "idle"),
        ("idle", "active"),
        ("active", "waiting_input"),
        ("waiting_input", "active"),
        ("active", "idle"),
        ("idle", "suspended"),
        ("suspended", "active"),
        ("active", "failed"),
        ("failed", "active"),
        ("active", "terminating"),
        ("terminating", "terminated"),
    ]


async def test_status_changes_bump_updated_at_and_not_the_version(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    born = await session.info()
    await world.advance(5)

    halted = await session.halt(reason="wait")

    assert (halted.updated_at - born.updated_at).total_seconds() == 5
    assert (halted.version, halted.created_at) == (1, born.created_at)


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_a_terminated_session_keeps_its_journal_and_says_so(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")

    await session.terminate(reason="enough")

    assert (await session.info()).status is SessionStatus.TERMINATED
    assert (await types_of(client, session))[-3:] == ["session_status", "session_status", "session_terminated"]
    assert (await client.house.store.read(session.id))[-1].data == {"reason": "enough"}
    assert [entry["type"] for entry in (await session.export())["entries"]] == await types_of(client, session)
    assert await said(await session.fork()) == [("user", "hello")]


async def test_a_terminated_session_is_listed_only_when_asked_for(client: Client) -> None:
    session = await client.create_session()
    await session.terminate()

    assert await client.list_sessions() == []
    assert [info.session_id for info in await client.list_sessions(status="terminated")] == [session.id]


async def test_terminating_an_unknown_session_is_not_found(client: Client) -> None:
    with pytest.raises(SessionNotFound):
        await client.terminate_session("nobody_there")


async def test_a_purged_session_leaves_nothing(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "secret")

    await session.terminate(purge=True)

    for look in (session.info, session.export, session.get_history, session.terminate):
        with pytest.raises(SessionNotFound):
            await look()
    assert await client.list_sessions(status="terminated") == []


async def test_a_session_may_be_purged_after_it_has_ended(client: Client) -> None:
    session = await client.create_session()
    await session.terminate()

    await session.terminate(purge=True)

    with pytest.raises(SessionNotFound):
        await session.info()


@pytest.mark.parametrize("times", [1, 3])
async def test_a_purged_id_may_be_used_again_and_begins_anew(client: Client, times: int) -> None:
    for _ in range(times):
        session = await client.create_session(session_id="again_and_again")
        await session.send_message("user", "old")
        await session.terminate(purge=True)

    session = await client.create_session(session_id="again_and_again", metadata={"new": True})

    assert await said(session) == []
    message = await session.send_message("user", "new")
    assert (message.seq, (await session.info()).version) == (3, 1)
    await kill_child(session, "context_manager")
    assert await said(session) == [("user", "new")]


async def test_a_client_that_closes_ends_every_actor_and_starts_no_new_life(world: VirtualWorld) -> None:
    async with a_client(world=world) as client:
        await client.create_session()
    with pytest.raises(RuntimeError, match="not open"):
        await client.create_session()
    with anyio.fail_after(5):
        async with client:
            assert await client.list_sessions() == []
