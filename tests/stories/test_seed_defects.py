"""What was wrong in the session service of seed 002 is not wrong here. Each test names the defect it is about.

A store joins by one line in STORES.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import (
    InvalidMessage,
    InvalidTransition,
    SessionFailed,
    SessionNotFound,
    SessionTerminated,
)
from jidoka.core.lifecycle import MOVES
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.ports.store import Store
from jidoka.session import Session
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import PATIENCE, all_of, journal, said, take, types_of

STORES: dict[str, Callable[[pytest.FixtureRequest], str | Store]] = {
    "memory": lambda _: "memory://",
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('tmp_path')}/jidoka.db",
    "postgres": lambda request: request.getfixturevalue("fresh_postgres")(),
}

MINUTE, HOUR = 60, 3600


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str | Store:
    return STORES[request.param](request)


@pytest.fixture
def world() -> VirtualWorld:
    return VirtualWorld()


@pytest.fixture
async def client(store: str | Store, world: VirtualWorld) -> AsyncIterator[Client]:
    # A round a day: years pass here, and what is due is looked at before anybody tidies up.
    async with Client(store, world=world, settings=Settings(housekeeping_every=86_400)) as client:
        yield client


def legal(moves: list[tuple[str, str]]) -> bool:
    """Whether they are moves of the table, each from where the one before it has led to."""
    previous = "initializing"
    for source, target in moves:
        if source != previous or SessionStatus(target) not in MOVES[SessionStatus(source)]:
            return False
        previous = target
    return True


async def moves_of(client: Client, session: Session) -> list[tuple[str, str]]:
    """What every `session_status` says: from where to where."""
    entries = await journal(client, session)
    return [
        (entry.data["previous_status"], entry.data["status"]) for entry in entries if entry.type == "session_status"
    ]


# Everything that changes a session, and therefore has to obey its status.
UPDATES: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "send_message": lambda session: session.send_message("user", "hello"),
    "clear_history": lambda session: session.clear_history(),
    "prompt": lambda session: session.prompt("hello"),
    "send_input": lambda session: session.send_input("go on"),
    "update": lambda session: session.update(metadata={"a": 1}),
    "suspend": lambda session: session.suspend(),
    "resume": lambda session: session.resume(),
    "halt": lambda session: session.halt(reason="look"),
    "approve": lambda session: session.approve(decision="approve"),
    "add_file": lambda session: session.add_file("a.py"),
    "remove_file": lambda session: session.remove_file("a.py"),
    "update_file_index": lambda session: session.update_file_index("a.py", {"lines": 1}),
    "put_context": lambda session: session.put_context("key", 1),
    "delete_context": lambda session: session.delete_context("key"),
}


# --- C1: any status could follow any other ----------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
async def test_c1_a_terminated_session_never_comes_back(client: Client, update: str) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")
    await session.terminate()
    before = await journal(client, session)

    with pytest.raises(SessionTerminated):
        await UPDATES[update](session)

    assert await journal(client, session) == before
    assert (await session.info()).status is SessionStatus.TERMINATED


@pytest.mark.parametrize("update", [name for name in UPDATES if name != "resume"])
async def test_c1_a_failed_session_comes_back_only_by_resume(client: Client, update: str) -> None:
    session = await client.create_session(config={"max_restarts": 0})
    async with session.subscribe(types=["session_failed"]) as failures:
        await kill_child(session, "context_manager")
        await take(failures, 1)

    with pytest.raises(InvalidTransition if update == "suspend" else SessionFailed):
        await UPDATES[update](session)

    assert (await session.info()).status is SessionStatus.FAILED
    assert (await session.resume()).incarnation == 2


@pytest.mark.parametrize("seed", range(8))
async def test_c1_whatever_is_done_in_whatever_order_every_move_is_in_the_table(
    client: Client, world: VirtualWorld, seed: int
) -> None:
    session = await client.create_session(config={"max_restarts": 1_000_000})
    dice = VirtualWorld(seed=seed)

    for _ in range(60):
        name = list(UPDATES)[int(dice.random() * len(UPDATES))]
        await all_of([partial(UPDATES[name], session)])
        if dice.random() < 0.1:
            await kill_supervisor(session)
            await world.advance(MINUTE)
        if dice.random() < 0.1:
            await world.advance(HOUR)
    await session.terminate()

    found = await moves_of(client, session)
    assert found[-1] == ("terminating", "terminated")
    assert legal(found)


def test_c1_the_judge_of_moves_can_say_no() -> None:
    assert legal([("initializing", "active"), ("active", "idle")])

    assert not legal([("initializing", "active"), ("idle", "active")])
    assert not legal([("initializing", "active"), ("active", "terminated")])


# --- C6: unknown ids were fine, concurrent output was lost ------------------------------------------------------------


@pytest.mark.parametrize("update", [*UPDATES, "terminate"])
async def test_c6_nothing_can_be_done_to_a_session_that_is_not_there(client: Client, update: str) -> None:
    known = await client.create_session()
    before = await journal(client, known)

    with pytest.raises(SessionNotFound) as caught:
        await {**UPDATES, "terminate": Session.terminate}[update](client.session("nobody_there"))

    assert caught.value.session_id == "nobody_there"
    assert await journal(client, known) == before
    assert [info.session_id for info in await client.list_sessions(status=list(SessionStatus))] == [known.id]  # pyright: ignore


async def test_c6_no_append_is_lost_to_another(client: Client) -> None:
    session = await client.create_session()
    sends = [partial(client.session(session.id).send_message, "user", f"chunk {number}") for number in range(100)]

    answers = await all_of(sends)

    history = await session.get_history()
    assert sorted(message.content for message in history) == sorted(f"chunk {number}" for number in range(100))
    assert sorted(answers, key=lambda message: message.seq) == history


async def test_c6_no_append_is_lost_to_a_crash(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 1_000_000})
    chunks = [f"chunk {number}" for number in range(60)]

    for start in range(0, 60, 10):
        sends = [partial(session.send_message, "user", chunk) for chunk in chunks[start : start + 10]]
        await all_of([*sends[:5], partial(kill_child, session, "context_manager"), *sends[5:]])
        # Who crashes often is started again after a while.
        await world.advance(MINUTE)

    history = await session.get_history()
    assert sorted(message.content for message in history) == sorted(chunks)
    assert (await types_of(client, session)).count("child_restarted") == 6


async def test_c6_no_update_is_lost_to_another(client: Client) -> None:
    session = await client.create_session()

    await all_of([partial(session.update, metadata={f"key {number}": number}) for number in range(50)])

    info = await session.info()
    assert info.metadata == {f"key {number}": number for number in range(50)}
    assert info.version == 51


async def test_c6_a_change_of_status_changes_nothing_else(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(owner="ada", metadata={"pid": 7})
    await session.send_message("user", "hello")
    before = await session.info()

    await world.advance(HOUR)
    await session.halt(reason="look")
    await session.approve(decision="approve")

    changing = {"updated_at", "last_activity_at", "last_seq"}
    assert (await session.info()).model_dump(exclude=changing) == before.model_dump(exclude=changing)


async def test_c6_output_does_not_start_a_session_again(client: Client) -> None:
    session = await client.create_session()

    async with session.subscribe() as events:
        for _ in range(3):
            await session.send_message("assistant", "output")
        heard = [event.type for event in await take(events, 3)]

    assert heard == ["conversation_added"] * 3
    assert (await types_of(client, session))[2:] == heard


# --- C7: two events for one end ---------------------------------------------------------------------------------------


async def ends_at_once(client: Client, session: Session) -> None:
    await all_of([partial(session.terminate, reason=f"reason {number}") for number in range(10)])


async def ends_without_a_manager(client: Client, session: Session) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(all_of, [session.terminate])
        await kill_manager(client)
    await session.terminate()


async def ends_asleep(client: Client, session: Session) -> None:
    await session.suspend()
    await session.terminate()


@pytest.mark.parametrize("end", [ends_at_once, ends_without_a_manager, ends_asleep])
async def test_c7_a_session_ends_once_on_both_topics(
    client: Client, end: Callable[[Client, Session], Awaitable[None]]
) -> None:
    session = await client.create_session()

    async with listening_to(client) as everywhere, listening_to(client, session.id) as here:
        await end(client, session)
        await session.terminate(reason="once more")

    assert everywhere.types.count("session_terminated") == 1
    assert here.types.count("session_terminated") == 1
    assert (await types_of(client, session)).count("session_terminated") == 1


# --- C8: a filter that did not filter ---------------------------------------------------------------------------------

OWNERS = ["ada", "ADA", "ada ", "ada2", "ad", "a%", "a_a", "%", "eve", "🦔", "ada' OR '1'='1", None]


async def test_c8_an_owner_sees_their_own_sessions_and_nobody_elses(client: Client) -> None:
    ids: dict[str | None, list[str]] = {}
    for owner in OWNERS * 3:
        ids.setdefault(owner, []).append((await client.create_session(owner=owner)).id)

    everybodys = sum(await every_page(client), [])
    for owner, theirs in ids.items():
        found = [info.session_id for info in await client.list_sessions(owner=owner)]
        # None is no filter.
        assert found == (everybodys if owner is None else theirs)
    assert list(await client.list_sessions(owner="nobody")) == []
    with pytest.raises(InvalidMessage):
        await client.list_sessions(owner="")


async def every_page(client: Client, size: int = 7, **filters: Any) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await client.list_sessions(limit=size, cursor=cursor, **filters)
        pages.append([info.session_id for info in page])
        cursor = page.next_cursor
        if cursor is None:
            return pages


async def test_c8_a_filter_holds_on_every_page_and_with_every_other(client: Client) -> None:
    mine: dict[str, list[str]] = {"active": [], "suspended": [], "terminated": []}
    for number in range(60):
        owner = "ada" if number % 2 else "eve"
        session = await client.create_session(owner=owner, metadata={"number": number % 3})
        status = list(mine)[number // 2 % 3]
        if status != "active":
            await (session.suspend() if status == "suspended" else session.terminate())
        if owner == "ada":
            mine[status].append(session.id)

    for status, ids in mine.items():
        pages = await every_page(client, size=3, owner="ada", status=status)
        assert sum(pages, []) == ids
        assert [len(page) for page in pages] == [3, 3, 3, 1]
        assert await every_page(client, owner="nobody", status=status) == [[]]
    both = sum(await every_page(client, owner="ada", metadata={"number": 1}, status=list(mine)), [])
    assert set(both) < set(sum(mine.values(), []))
    assert {(await client.get_session_info(id)).metadata["number"] for id in both} == {1}


# --- C9: output that was kept as one string, without end --------------------------------------------------------------


async def test_c9_an_answer_is_kept_once_however_many_pieces_it_came_in(
    store: str | Store, world: VirtualWorld
) -> None:
    pieces = [f"piece {number}, " for number in range(200)]
    async with Client(store, world=world, models={"model": ScriptedModel(pieces)}) as client:
        session = await client.create_session(llm_config={"model": "model"})
        async with listening_to(client, session.id) as log:
            answer = await session.prompt("question")

        entries = await journal(client, session)
        assert answer.content == "".join(pieces)
        assert [str(entry.data).count("piece 77,") for entry in entries if "piece" in str(entry.data)] == [1]
        assert [entry.seq for entry in entries if entry.data.get("content") == answer.content] == [answer.seq]
        # What was heard on the way is all of it, and is nowhere in the journal.
        heard = [event for event in log.events if event.type == "output_received"]
        assert "".join(event.data["text"] for event in heard) == answer.content
        assert {event.seq for event in heard} == {None}
        assert "output_received" not in await types_of(client, session)


async def test_c9_who_comes_later_hears_the_answer_and_not_its_pieces(client: Client) -> None:
    session = await client.create_session()
    answer = await session.prompt("question")

    entries = await journal(client, session)
    async with session.subscribe(after=0) as events:
        heard = await take(events, len(entries))

    assert [(event.seq, event.type) for event in heard] == [(entry.seq, entry.type) for entry in entries]
    assert [event.seq for event in heard if event.data.get("content") == answer.content][-1] == answer.seq


async def test_c9_output_of_nobody_is_an_error_and_not_nothing(client: Client) -> None:
    nobody = client.session("nobody_there")

    with pytest.raises(SessionNotFound):
        await nobody.get_history()
    with pytest.raises(SessionNotFound):
        async with nobody.subscribe(after=0) as events, nobody.stream("question") as turn:
            await anext(events)
            await turn.text()


# --- C13: statistics that were always an error ------------------------------------------------------------------------


async def test_c13_statistics_say_what_runs_what_there_is_and_what_the_limits_are(
    store: str | Store, world: VirtualWorld
) -> None:
    settings = Settings(
        max_sessions=7, idle_after=10, suspend_after=20, max_age=30, call_timeout=4, mailbox=99, max_context_tokens=1000
    )
    async with Client(store, world=world, settings=settings) as client:
        await client.create_session()
        await client.create_session()
        await (await client.create_session()).suspend()
        await (await client.create_session()).terminate()
        await (await client.create_session()).halt(reason="look")

        stats = await client.stats()

        assert stats.running
        assert stats.sessions == {"active": 2, "suspended": 1, "terminated": 1, "waiting_input": 1}
        assert stats.active_sessions == 3
        assert (stats.max_sessions, stats.mailbox, stats.max_context_tokens) == (7, 99, 1000)
        assert (stats.idle_after, stats.suspend_after, stats.max_age, stats.call_timeout) == (10, 20, 30, 4)


async def test_c13_statistics_follow_what_happens(client: Client) -> None:
    session = await client.create_session()
    for act, status, live in (
        (session.suspend, "suspended", 0),
        (session.resume, "active", 1),
        (session.terminate, "terminated", 0),
    ):
        await act()
        stats = await client.stats()
        assert (stats.sessions, stats.active_sessions) == ({status: 1}, live)

    await session.terminate(purge=True)
    assert (await client.stats()).sessions == {}
    await kill_manager(client)
    with anyio.fail_after(PATIENCE):
        await client.create_session()
    assert (await client.stats()).running


# --- C14: sessions that were in use expired half an hour after they were created --------------------------------------


async def test_c14_a_session_in_use_does_not_expire_however_old_it_is(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"idle_after": HOUR, "suspend_after": HOUR, "max_age": HOUR})

    for number in range(100):
        await world.advance(HOUR - MINUTE)
        await session.send_message("user", f"message {number}")
        assert await expired(client, world) == []

    assert {status for _, status in await moves_of(client, session)} == {"active"}
    assert len(await session.get_history()) == 100


async def test_c14_age_counts_from_the_last_use_of_a_session_at_rest(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_age": HOUR})
    other = await client.create_session()
    await world.advance(10 * MINUTE)
    await session.send_message("user", "the last use")
    await session.suspend()
    await other.suspend()

    await world.advance(HOUR - MINUTE)
    assert await expired(client, world) == []
    await world.advance(2 * MINUTE)
    assert await expired(client, world) == [session.id]

    await session.send_message("user", "used again")
    assert await expired(client, world) == []


async def expired(client: Client, world: VirtualWorld) -> list[str]:
    found = await client.house.store.heads(expired_before=world.now(), limit=10)
    return [head.session_id for _, head in found]


async def test_c14_a_session_that_rests_for_years_is_all_there(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(owner="ada", metadata={"a": 1})
    await session.send_message("user", "hello")
    await session.suspend()

    await world.advance(3 * 366 * 24 * HOUR)

    assert await said(session) == [("user", "hello")]
    info = await session.info()
    assert (info.owner, info.metadata, info.status) == ("ada", {"a": 1}, SessionStatus.ACTIVE)


async def test_c14_there_is_one_answer_to_when_a_session_was_last_used(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    await world.advance(MINUTE)
    await session.send_message("user", "hello")
    used = world.now()

    await world.advance(MINUTE)
    await session.get_history()
    with pytest.raises(InvalidTransition):
        await session.approve(decision="approve")

    (listed,) = await client.list_sessions()
    head = await client.house.store.head(session.id)
    assert head is not None
    assert listed.last_activity_at == head.last_activity_at == (await session.info()).last_activity_at == used
