"""A session can be branched off, carried away, and brought back."""

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jidoka.adapters.session_files import SessionFiles
from jidoka.client import Client
from jidoka.core.errors import CorruptRecord, InvalidMessage, JidokaError, SessionNotFound
from jidoka.core.seals import sealed
from jidoka.core.seed_documents import seed_001_document
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import all_of, said


async def furnished(client: Client) -> Session:
    """Entries: 3-4 messages, 5 a file, 6 the index, 7 the working context, 8 metadata, 9-12 a turn."""
    session = await client.create_session(owner="ada", metadata={"a": 1}, config={"max_files": 7})
    await session.send_message("system", "be brief", metadata={"x": [1]})
    await session.send_message("user", "hello 🦔", idempotency_key="k")
    await session.add_file("a.py")
    await session.update_file_index("a.py", {"lines": 1})
    await session.put_context("plan", {"steps": [1]})
    await session.update(metadata={"b": 2})
    await session.prompt("echo")
    return session


async def content_of(session: Session) -> dict[str, Any]:
    """What is carried from one session to another."""
    info = await session.info()
    context = await session.build_context()
    return {
        "conversation": [(m.id, m.role, m.content, m.metadata, m.at) for m in context.conversation],
        "files": context.files,
        "index": context.file_index,
        "working": context.working_context,
        "info": (info.owner, info.metadata, info.llm_config, info.config),
        "cycles": (await session.context_stats()).cycle_count,
    }


# --- forks ------------------------------------------------------------------------------------------------------------


async def test_a_fork_has_what_the_original_had_and_goes_its_own_way(client: Client, world: VirtualWorld) -> None:
    session = await furnished(client)
    before = await content_of(session)
    await world.advance(60)

    fork = await session.fork()

    assert await content_of(fork) == before
    info = await fork.info()
    assert fork.id != session.id
    assert (info.status, info.version, info.incarnation) == (SessionStatus.ACTIVE, 1, 1)
    assert info.created_at == world.now()
    await fork.send_message("user", "only here")
    await session.clear_history()
    assert (await said(fork))[-1] == ("user", "only here")
    assert await said(session) == []


async def test_a_fork_says_where_it_comes_from(client: Client) -> None:
    session = await furnished(client)

    fork = await session.fork(at=4)

    (born, *_) = await client.house.store.read(fork.id)
    assert born.data["forked_from"] == {"session_id": session.id, "seq": 4}


@pytest.mark.parametrize(
    ("at", "messages", "files", "keys", "metadata"),
    [
        (1, [], [], [], {"a": 1}),
        (2, [], [], [], {"a": 1}),
        (3, ["be brief"], [], [], {"a": 1}),
        (4, ["be brief", "hello 🦔"], [], [], {"a": 1}),
        (5, ["be brief", "hello 🦔"], ["a.py"], [], {"a": 1}),
        (7, ["be brief", "hello 🦔"], ["a.py"], ["plan"], {"a": 1}),
        (8, ["be brief", "hello 🦔"], ["a.py"], ["plan"], {"a": 1, "b": 2}),
        (12, ["be brief", "hello 🦔", "echo", "echo"], ["a.py"], ["plan"], {"a": 1, "b": 2}),
    ],
)
async def test_a_fork_shares_the_journal_up_to_the_entry_that_was_named(
    client: Client, at: int, messages: list[str], files: list[str], keys: list[str], metadata: dict[str, int]
) -> None:
    session = await furnished(client)

    fork = await session.fork(at=at)

    assert [content for _, content in await said(fork)] == messages
    assert [file.path for file in await fork.get_active_files()] == files
    assert await fork.context_keys() == keys
    assert (await fork.info()).metadata == metadata


async def test_a_fork_may_have_metadata_of_its_own(client: Client) -> None:
    session = await furnished(client)

    assert (await (await session.fork(metadata={"mine": 1})).info()).metadata == {"mine": 1}
    assert (await (await session.fork(metadata={})).info()).metadata == {}


@pytest.mark.parametrize("at", [0, -1, 13, 10**30, 1.5, "3", True])
async def test_a_fork_at_an_entry_that_is_not_there_is_refused(client: Client, at: Any) -> None:
    session = await furnished(client)

    with pytest.raises(InvalidMessage) as caught:
        await session.fork(at=at)

    assert caught.value.field == "at"
    assert len(await client.list_sessions()) == 1


@pytest.mark.parametrize("ending", ["suspend", "terminate"])
async def test_a_session_at_rest_or_ended_can_be_forked_and_exported(client: Client, ending: str) -> None:
    session = await furnished(client)
    before = await content_of(session)
    await getattr(session, ending)()
    status = (await session.info()).status

    assert await content_of(await session.fork()) == before
    assert await content_of(await client.import_session(await session.export())) == before
    assert (await session.info()).status is status


async def test_forks_of_forks_survive_kills(client: Client) -> None:
    session = await furnished(client)
    before = await content_of(session)

    for _ in range(3):
        session = await session.fork()
        await kill_supervisor(session)

    assert await content_of(session) == before


# --- documents --------------------------------------------------------------------------------------------------------


async def test_an_export_is_json_and_holds_the_whole_journal(client: Client) -> None:
    session = await furnished(client)

    document = await session.export()

    assert json.loads(json.dumps(document)) == document
    assert [entry["seq"] for entry in document["entries"]] == list(range(1, 13))
    assert document["session_id"] == session.id


@pytest.mark.parametrize("form", [dict, json.dumps, lambda document: json.dumps(document).encode()])
async def test_what_was_exported_comes_back_as_it_was(client: Client, world: VirtualWorld, form: Any) -> None:
    session = await furnished(client)
    await world.advance(3600)
    before, document = await content_of(session), await session.export()
    await session.terminate(purge=True)

    back = await client.import_session(form(document))

    assert back.id == session.id
    assert await content_of(back) == before
    await kill_supervisor(back)
    assert await content_of(back) == before
    await back.send_message("user", "goes on")


async def test_cycles_are_counted_on_wherever_a_session_goes(client: Client) -> None:
    session = await client.create_session(metadata={"cycle_count": 40})

    for cycles in (41, 42, 43):
        await session.prompt("report")
        await kill_supervisor(session)
        assert (await session.context_stats()).cycle_count == cycles
        session = await client.import_session(await session.export())
        assert (await session.context_stats()).cycle_count == cycles

    fork = await session.fork(at=1)
    assert (await fork.context_stats()).cycle_count == 43
    assert (await (await session.fork(metadata={})).context_stats()).cycle_count == 43
    assert (await (await session.fork(metadata={"cycle_count": 1})).context_stats()).cycle_count == 1


async def test_an_export_while_others_write_is_whole(client: Client) -> None:
    session = await client.create_session()

    async def write(number: int) -> None:
        await session.send_message("user", f"message {number}")

    async def carry(_: int) -> list[tuple[str, str]]:
        return await said(await client.import_session(await session.export()))

    outcomes = await all_of([partial((write, carry)[number % 2], number) for number in range(40)])

    everything = await said(session)
    for copy_of_it in outcomes[1::2]:
        assert copy_of_it == everything[: len(copy_of_it)]


async def test_an_import_whose_id_is_taken_gets_another(client: Client) -> None:
    session = await furnished(client)
    document = await session.export()

    copies = await all_of([partial(client.import_session, document)] * 5)

    assert len({session.id, *(one.id for one in copies)}) == 6
    for one in copies:
        assert await content_of(one) == await content_of(session)


async def test_imports_of_one_document_at_the_same_time_are_sessions_of_their_own(client: Client) -> None:
    session = await furnished(client)
    document = await session.export()
    await session.terminate(purge=True)

    copies = await all_of([partial(client.import_session, document)] * 5)

    assert not [one for one in copies if isinstance(one, JidokaError)]
    assert len({one.id for one in copies}) == 5
    assert session.id in {one.id for one in copies}


async def test_a_document_can_go_to_another_client(client: Client) -> None:
    session = await furnished(client)

    async with Client() as elsewhere:
        other = await elsewhere.import_session(await session.export())
        assert await content_of(other) == await content_of(session)
        assert await (await elsewhere.import_session(await other.export())).get_history()


SEED_001: dict[str, Any] = {
    "session_id": "k8s-monitor-default",
    "conversation_history": [
        {"role": "user", "content": "cluster report"},
        {"role": "assistant", "content": "all pods are healthy"},
        {"role": "user", "content": [{"type": "text", "text": "and"}, {"type": "text", "text": "now?"}]},
    ],
    "metadata": {"cycle_count": 42, "cluster": "prod"},
    "saved_at": "2025-10-22T10:00:00+00:00",
}


@pytest.mark.parametrize("form", [dict, json.dumps])
async def test_a_file_of_seed_001_becomes_a_session(client: Client, form: Any) -> None:
    session = await client.import_session(form(SEED_001))

    assert session.id == "k8s-monitor-default"
    assert await said(session) == [
        ("user", "cluster report"),
        ("assistant", "all pods are healthy"),
        ("user", "and\nnow?"),
    ]
    assert (await session.info()).metadata == {"cycle_count": 42, "cluster": "prod"}
    assert (await session.context_stats()).cycle_count == 42


@pytest.mark.parametrize("session_id", ["../../escape", "short", "", None, 7])
async def test_a_file_whose_id_is_none_of_ours_gets_one_of_ours(client: Client, session_id: Any) -> None:
    session = await client.import_session({**SEED_001, "session_id": session_id})

    assert session.id.startswith("session_")


async def test_a_session_goes_to_seed_001_and_comes_back(tmp_path: Path) -> None:
    # Without the fixture's inspection: threads that have done file work stay for a while.
    async with Client() as client:
        session = await client.import_session(SEED_001)
        await session.prompt("next cycle")
        head = await client.house.store.head(session.id)
        assert head is not None
        document = seed_001_document(head, await client.house.store.read(session.id))
        before = await said(session)
        files = SessionFiles(tmp_path)

        await files.save_session(session.id, document["conversation_history"], document["metadata"])
        await session.terminate(purge=True)
        back = await client.import_session(await files.load_session(session.id))
        again = await client.import_session((tmp_path / f"{session.id}.json").read_bytes())

        assert (back.id, await said(back)) == (session.id, before)
        assert (await back.info()).metadata == {"cycle_count": 43, "cluster": "prod"}
        assert (await back.context_stats()).cycle_count == 43
        assert await said(again) == before


@pytest.mark.parametrize(
    "path_and_value",
    [
        (("entries", 2, "data", "content"), "be brieg"),
        (("entries", 3, "data", "id"), "message_1"),
        (("info", "message_count"), 3),
        (("info", "owner"), "eve"),
        (("sha256",), "0" * 64),
        (("sha256",), ...),
    ],
    ids=str,
)
async def test_what_was_changed_on_the_way_is_noticed(
    client: Client, path_and_value: tuple[tuple[Any, ...], Any]
) -> None:
    session = await furnished(client)
    document = _damaged(await session.export(), *path_and_value[0], value=path_and_value[1])

    with pytest.raises(CorruptRecord) as caught:
        await client.import_session(document)

    assert caught.value.place in {"sha256", "info.message_count"}
    assert len(await client.list_sessions()) == 1


async def test_an_export_that_was_cut_off_never_becomes_a_shorter_session(client: Client) -> None:
    text = json.dumps(await (await furnished(client)).export(), indent=1)

    for size in range(0, len(text), 3):
        with pytest.raises(CorruptRecord):
            await client.import_session(text[:size])

    assert len(await client.list_sessions()) == 1


def _damaged(document: dict[str, Any], *path: Any, value: Any = ...) -> dict[str, Any]:
    damaged = copy.deepcopy(document)
    place: Any = damaged
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return damaged


@pytest.mark.parametrize(
    "path_and_value",
    [
        (("entries",), None),
        (("entries",), []),
        (("entries",), "text"),
        (("entries", 0), {}),
        (("entries", 0), 7),
        (("entries", 2, "seq"), 5),
        (("entries", 2, "seq"), "3"),
        (("entries", 2, "type"), "nobody_knows"),
        (("entries", 2, "at"), "yesterday"),
        (("entries", 2, "at"), "2030-01-01T00:00:00"),
        (("entries", 2, "data"), None),
        (("entries", 2, "data"), {"role": "user"}),
        (("entries", 2, "data", "role"), "robot"),
        (("entries", 2, "data", "content"), ""),
        (("entries", 2, "data", "content"), "\0"),
        (("entries", 2, "data", "content"), {"a": 1}),
        (("entries", 6, "data", "op"), "explode"),
        (("entries", 0, "data", "config"), {"no_such_option": 1}),
        (("entries", 0, "data", "metadata"), [1]),
        (("version",), 2),
        (("format",), "other"),
    ],
    ids=str,
)
async def test_a_damaged_document_is_refused_by_name_and_leaves_nothing_behind(
    client: Client, path_and_value: tuple[tuple[Any, ...], Any]
) -> None:
    session = await furnished(client)
    document = _damaged(await session.export(), *path_and_value[0], value=path_and_value[1])

    with pytest.raises((CorruptRecord, InvalidMessage)):
        await client.import_session(document)

    assert len(await client.list_sessions()) == 1


@pytest.mark.parametrize(
    "document",
    [
        *(None, 7, [], {}, "", "no json", "[]", "null", b"\xff", {"format": "jidoka.session"}, object()),
        {"conversation_history": "text"},
        {"conversation_history": [1]},
        {"conversation_history": [{"role": "user"}]},
        {"conversation_history": [{"role": "robot", "content": "x"}]},
        {"conversation_history": [{"role": "user", "content": [{"type": "text"}]}]},
        {"conversation_history": [{"role": "user", "content": ""}]},
        {"conversation_history": [], "metadata": [1]},
        {"conversation_history": [], "metadata": {"nan": float("nan")}},
        {"conversation_history": [], "saved_at": {1: 2}},
        "[" * 100_000,
    ],
    ids=lambda document: str(document)[:40],
)
async def test_what_is_no_document_is_refused_by_name(client: Client, document: Any) -> None:
    with pytest.raises((CorruptRecord, InvalidMessage)):
        await client.import_session(document)

    assert await client.list_sessions() == []


async def test_a_model_that_is_unknown_here_does_not_keep_a_document_out(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")
    document = _damaged(await session.export(), "entries", 0, "data", "llm_config", value={"model": "elsewhere"})

    back = await client.import_session(sealed(document))

    assert await said(back) == [("user", "hello")]
    with pytest.raises(LookupError):
        await back.prompt("hello")


async def test_a_session_that_is_not_there_cannot_be_carried_away(client: Client) -> None:
    handle = client.session("nobody_there")
    for call in (handle.fork, handle.export):
        with pytest.raises(SessionNotFound):
            await call()
