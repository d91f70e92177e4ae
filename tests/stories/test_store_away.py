"""A store that is away, is full, loses answers or is damaged: whoever asks is told, and nobody guesses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.errors import (
    CorruptRecord,
    JidokaError,
    SessionExists,
    SessionNotFound,
    SessionTerminated,
    StorageFull,
    StoreUnavailable,
)
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.census import nothing_left_behind
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import all_of, journal, purge_everything, said, types_of
from tests.stories.processes import Line, at_rest

Use = Callable[[Session], Awaitable[Any]]


@pytest.fixture(params=[False, True], ids=["at once", "waits"])
def line(request: pytest.FixtureRequest) -> Line:
    return Line(MemoryStore(), waits=request.param)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(["an answer"])


@pytest.fixture
async def client(line: Line, model: ScriptedModel, world: VirtualWorld) -> AsyncIterator[Client]:
    async with Client(line, models={"scripted": model}, world=world) as client, nothing_left_behind(client):  # pyright: ignore
        yield client
        line.is_away = line.is_full = False
        line.damaged.clear()
        await purge_everything(client)


WRITES: dict[str, Use] = {
    "send_message": lambda s: s.send_message("user", "hello", idempotency_key="my-key-1"),
    "clear_history": lambda s: s.clear_history(),
    "update": lambda s: s.update(metadata={"a": 1}),
    "add_file": lambda s: s.add_file("a.py"),
    "put_context": lambda s: s.put_context("key", 1),
    "prompt": lambda s: s.prompt("question", idempotency_key="my-key-2"),
    "halt": lambda s: s.halt(reason="look"),
    "suspend": lambda s: s.suspend(),
    "terminate": lambda s: s.terminate(),
}


# --- away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", WRITES)
async def test_a_write_says_that_the_store_is_away_and_works_when_it_is_back(
    client: Client, line: Line, use: str
) -> None:
    session = await client.create_session(llm_config={"model": "scripted"})
    line.is_away = True

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await WRITES[use](session)
    line.is_away = False
    await WRITES[use](session)

    entries = await journal(client, session)
    assert "child_restarted" not in [entry.type for entry in entries]


async def test_a_store_that_is_away_for_long_costs_no_restarts(client: Client, line: Line, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 0}, llm_config={"model": "scripted"})
    await session.send_message("user", "before")
    line.is_away = True
    for _ in range(50):
        for use in ("send_message", "prompt", "halt"):
            with pytest.raises(StoreUnavailable):
                await WRITES[use](session)
        await world.advance(100)
    line.is_away = False

    assert (await session.info()).status is SessionStatus.ACTIVE
    assert (await session.prompt("again")).content == "an answer"
    assert await said(session) == [("user", "before"), ("user", "again"), ("assistant", "an answer")]


async def test_other_calls_say_so_too(client: Client, line: Line) -> None:
    session = await client.create_session()
    suspended = await client.create_session()
    await suspended.suspend()
    line.is_away = True
    calls: list[Callable[[], Awaitable[Any]]] = [
        client.create_session,
        client.list_sessions,
        client.stats,
        session.info,
        session.export,
        session.fork,
        suspended.get_history,
        suspended.resume,
        suspended.terminate,
        partial(session.prompt, "hello"),
    ]

    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call()

    assert not (await client.health()).is_ok
    line.is_away = False
    assert (await client.health()).is_ok
    assert await said(suspended) == []


@pytest.mark.parametrize("kill", [kill_supervisor, lambda s: kill_child(s, "context_manager")], ids=["tree", "context"])
async def test_a_child_that_is_killed_while_the_store_is_away_waits_without_dying(
    client: Client, line: Line, world: VirtualWorld, kill: Callable[[Session], Awaitable[Any]]
) -> None:
    session = await client.create_session(config={"max_restarts": 1})
    await session.send_message("user", "before")
    line.is_away = True
    await kill(session)
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            await session.get_history()
        await world.advance(50)
    line.is_away = False

    assert await said(session) == [("user", "before")]
    types = await types_of(client, session)
    assert types.count("child_restarted") == 1
    assert "session_failed" not in types


async def test_an_orchestrator_that_is_killed_while_the_store_is_away_is_recorded_later(
    line: Line, world: VirtualWorld
) -> None:
    model = ScriptedModel(["half", anyio.Event()], ["whole"])
    async with Client(line, models={"slow": model}, world=world) as client:  # pyright: ignore
        session = await client.create_session(llm_config={"model": "slow"})
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                outcomes.extend(await all_of([partial(session.prompt, "question")]))

            tasks.start_soon(ask)
            await model.started.wait()
            line.is_away = True
            await kill_child(session, "orchestrator")
        assert isinstance(outcomes[0], JidokaError)
        line.is_away = False

        assert await said(session) == []
        types = await types_of(client, session)
        assert types[-2:] == ["turn_failed", "child_restarted"]
        assert (await session.prompt("again")).content == "whole"


async def test_a_turn_whose_answer_finds_the_store_away_is_over(line: Line, world: VirtualWorld) -> None:
    go_on = anyio.Event()
    model = ScriptedModel(["half", go_on], ["whole"])
    async with Client(line, models={"slow": model}, world=world) as client:  # pyright: ignore
        session = await client.create_session(llm_config={"model": "slow"})
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                outcomes.extend(await all_of([partial(session.prompt, "question")]))

            tasks.start_soon(ask)
            await model.started.wait()
            line.is_away = True
            go_on.set()
        assert isinstance(outcomes[0], StoreUnavailable)
        line.is_away = False

        # Nobody has to come for it: the session rests as any other.
        await world.advance(5000)
        assert (await session.info()).status is SessionStatus.SUSPENDED
        assert (await types_of(client, session)).count("turn_failed") == 1
        assert await said(session) == []
        assert (await session.prompt("again")).content == "whole"


# --- an answer is lost --------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["send_message", "update", "add_file", "put_context", "halt", "suspend"])
async def test_what_was_committed_without_anybody_knowing_is_there_once(client: Client, line: Line, use: str) -> None:
    session = await client.create_session()
    async with session.subscribe() as events:
        line.lost_answers.append("append")
        with pytest.raises(StoreUnavailable):
            await WRITES[use](session)

        # Whoever looks sees it; whoever listens hears it.
        before = await journal(client, session)
        if use != "suspend":
            await session.get_history()
        else:
            await session.suspend()
        await session.info()
        assert await journal(client, session) == before
        heard = [(await anext(events)).type for _ in before[2:]]

    assert heard == [entry.type for entry in before[2:]]


async def test_the_same_key_finds_what_was_committed_without_anybody_knowing(client: Client, line: Line) -> None:
    session = await client.create_session()
    line.lost_answers.append("append")
    with pytest.raises(StoreUnavailable):
        await WRITES["send_message"](session)

    message = await WRITES["send_message"](session)

    assert message.seq == 3
    assert await said(session) == [("user", "hello")]
    assert (await session.send_message("user", "next")).seq == 4


@pytest.mark.parametrize("which", [1, 2])
async def test_a_turn_that_was_committed_without_anybody_knowing_has_its_answer(
    client: Client, line: Line, model: ScriptedModel, which: int
) -> None:
    session = await client.create_session(llm_config={"model": "scripted"})
    line.calls.clear()
    line.lost_appends = [which]
    outcomes = await all_of([partial(session.prompt, "question", idempotency_key="my-key-1")])

    if which == 1:
        # It may have begun, and nobody knows: it has ended.
        assert isinstance(outcomes[0], StoreUnavailable)
        assert await said(session) == []
        assert (await types_of(client, session))[-2:] == ["turn_started", "turn_failed"]
    else:
        assert outcomes[0].content == "an answer"
        assert await said(session) == [("user", "question"), ("assistant", "an answer")]


@pytest.mark.parametrize("calls", [["claim"], ["claim", "claim"], ["claim", "append"], ["read"], ["read", "claim"]])
async def test_finding_out_may_be_interrupted_as_well(client: Client, line: Line, calls: list[str]) -> None:
    session = await client.create_session(config={"max_restarts": 2})
    await session.send_message("user", "first")
    line.lost_answers.append("append")
    with pytest.raises(StoreUnavailable):
        await session.send_message("user", "second")
    line.lost_answers.extend(calls)

    while line.lost_answers:
        await all_of([partial(session.send_message, "user", "third", idempotency_key="my-key-3")])

    await session.send_message("user", "third", idempotency_key="my-key-3")
    assert await said(session) == [("user", "first"), ("user", "second"), ("user", "third")]
    assert (await session.info()).status is SessionStatus.ACTIVE


# --- full ---------------------------------------------------------------------------------------------


async def test_a_full_store_takes_nothing_and_still_answers(client: Client, line: Line) -> None:
    session = await client.create_session()
    await session.send_message("user", "before")
    line.is_full = True

    for use in ("send_message", "update", "put_context"):
        with pytest.raises(StorageFull):
            await WRITES[use](session)
    with pytest.raises(StorageFull):
        await client.create_session()
    assert await said(session) == [("user", "before")]
    line.is_full = False

    assert (await session.send_message("user", "after")).seq == 4


# --- damaged ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_running", [False, True])
async def test_a_damaged_session_says_so_and_the_others_work(client: Client, line: Line, is_running: bool) -> None:
    session = await client.create_session(session_id="damaged_1", config={"max_restarts": 0})
    other = await client.create_session()
    await session.send_message("user", "before")
    if not is_running:
        await session.suspend()
    before = await line.store.read("damaged_1")
    line.damaged.add("damaged_1")
    uses = [session.info, *([] if is_running else [session.get_history, session.resume])]

    for use in [*uses, partial(session.send_message, "user", "lost"), session.export, session.fork]:
        with pytest.raises(CorruptRecord):
            await use()
    with pytest.raises((SessionExists, CorruptRecord)):
        await client.create_session(session_id="damaged_1")
    await other.send_message("user", "fine")

    assert await line.store.read("damaged_1") == before
    line.damaged.clear()
    assert await said(session) == [("user", "before")]


async def test_a_session_whose_journal_is_damaged_when_it_is_restarted_says_so(
    client: Client, line: Line, world: VirtualWorld
) -> None:
    session = await client.create_session(config={"max_restarts": 1})
    await session.send_message("user", "before")
    line.damaged.add(session.id)
    await kill_child(session, "context_manager")
    before = await line.store.read(session.id)

    for _ in range(5):
        with pytest.raises(CorruptRecord) as caught:
            await session.get_history()
        assert caught.value.session_id == session.id
        await world.advance(400)

    assert await line.store.read(session.id) == before


# --- another process has acted ------------------------------------------------------------------------


async def test_a_session_that_another_process_has_purged_is_gone_here_too(
    client: Client, line: Line, world: VirtualWorld
) -> None:
    session = await client.create_session(config={"max_restarts": 1})
    idle = await client.create_session()
    async with Client(line.store, world=world) as other:
        for id in (session.id, idle.id):
            await other.terminate_session(id, purge=True)

    with anyio.fail_after(5):
        for use in ("send_message", "update", "halt"):
            with pytest.raises(SessionNotFound):
                await WRITES[use](session)
        await world.advance(5000)
    await at_rest()

    assert len(client.house.registry) == 0


async def test_a_session_that_another_process_has_terminated_is_terminated_here_too(
    client: Client, line: Line, world: VirtualWorld
) -> None:
    session, quiet = await client.create_session(), await client.create_session()
    async with Client(line.store, world=world) as other:
        await other.terminate_session(session.id)
        await other.terminate_session(quiet.id)

    with anyio.fail_after(5):
        for use in ("send_message", "prompt", "halt"):
            with pytest.raises(SessionTerminated):
                await WRITES[use](session)
        await world.advance(5000)
    assert len(client.house.registry) == 0
    assert (await types_of(client, session)).count("session_terminated") == 1
