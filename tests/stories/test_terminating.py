"""However a session ends, it ends once."""

import random
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.errors import ActorDead
from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.errors import (
    JidokaError,
    SessionFailed,
    SessionNotFound,
    SessionTerminated,
    TurnCancelled,
    TurnFailed,
)
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, all_of, moves, rest, said, types_of
from tests.stories.stores import PoisonStore

WORDS = ["session_status", "session_status", "session_terminated"]


async def ends_once(client: Client, session: Session) -> None:
    """The journal closes with the three words of the end, and has them once."""
    types = await types_of(client, session)
    assert types[-3:] == WORDS
    assert types.count("session_terminated") == 1
    assert (await moves(client, session)).count("terminating") == 1
    assert (await session.info()).status is SessionStatus.TERMINATED


async def test_terminating_twice_is_fine(client: Client) -> None:
    session = await client.create_session()

    await session.terminate(reason="first")
    await session.terminate(reason="second")

    await ends_once(client, session)
    assert (await client.house.store.read(session.id))[-1].data == {"reason": "first"}


async def test_of_many_who_terminate_at_once_nobody_hears_an_error(client: Client) -> None:
    session = await client.create_session()

    outcomes = await all_of([session.terminate] * 20)

    assert outcomes == [None] * 20
    await ends_once(client, session)


async def test_ten_created_at_once_and_ten_terminated_at_once_leave_an_empty_list(client: Client) -> None:
    sessions = await all_of([client.create_session] * 10)

    await all_of([session.terminate for session in sessions])

    assert await client.list_sessions() == []
    assert len(client.house.registry) == 0


async def test_everything_at_once_succeeds_or_says_why_not(client: Client) -> None:
    old = await all_of([client.create_session] * 10)

    outcomes = await all_of(
        [
            *[client.create_session] * 10,
            *[session.info for session in old],
            *[session.terminate for session in old[:5]],
            *[partial(session.send_message, "user", "hello") for session in old[5:]],
            *[client.list_sessions] * 10,
        ]
    )

    assert not [outcome for outcome in outcomes if isinstance(outcome, JidokaError)]
    assert len(await client.list_sessions()) == 15


async def test_terminating_tells_both_topics_in_one_order(client: Client) -> None:
    session = await client.create_session(session_id="told_twice")
    async with client.subscribe_to_all_sessions() as everywhere, session.subscribe() as here:
        await session.terminate(reason="enough")

        heard = await rest(here)
        assert [event.type for event in heard] == WORDS
        assert [event.data.get("status") for event in heard] == ["terminating", "terminated", None]
        assert [event.data.get("previous_status") for event in heard] == ["active", "terminating", None]
        assert [await anext(everywhere) for _ in range(3)] == heard


async def test_terminating_while_a_turn_runs_ends_the_turn_first() -> None:
    model = ScriptedModel(["half an ", anyio.Event()])
    async with a_client(models={"slow": model}) as client:
        session = await client.create_session(llm_config={"model": "slow"})
        async with anyio.create_task_group() as tasks:
            outcomes: list[JidokaError] = []

            async def ask() -> None:
                try:
                    await session.prompt("question")
                except JidokaError as error:
                    outcomes.append(error)

            tasks.start_soon(ask)
            await model.started.wait()
            await session.terminate()

        assert isinstance(outcomes[0], TurnFailed | TurnCancelled)
        types = await types_of(client, session)
        assert types[2:4] == ["turn_started", "turn_failed"]
        assert "conversation_added" not in types
        await ends_once(client, session)


async def test_what_was_accepted_before_the_end_is_in_the_journal_and_the_rest_is_refused(client: Client) -> None:
    session = await client.create_session()

    outcomes = await all_of(
        [
            *[partial(session.send_message, "user", f"before {number}") for number in range(20)],
            session.terminate,
            *[partial(session.send_message, "user", f"after {number}") for number in range(20)],
        ]
    )

    answered = [message.content for message in outcomes if message and not isinstance(message, JidokaError)]
    assert {type(error) for error in outcomes if isinstance(error, JidokaError)} <= {SessionTerminated}
    kept = [e.data["content"] for e in await client.house.store.read(session.id) if e.type == "conversation_added"]
    assert sorted(kept) == sorted(answered)
    await ends_once(client, session)


# --- races ------------------------------------------------------------------------------------------------------------

SEEDS = range(25)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_killed_while_a_session_is_terminated_it_ends_once(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    session = await client.create_session(metadata={"seed": seed})
    with_log = listening_to(client)

    async def later(act: object) -> None:
        for _ in range(chance.randrange(12)):
            await anyio.lowlevel.checkpoint()
        with suppress(SessionTerminated, SessionNotFound, ActorDead, LookupError):
            await act()  # type: ignore[operator]

    acts = [
        session.terminate,
        session.terminate,
        partial(session.send_message, "user", "hello"),
        partial(kill_child, session, "context_manager"),
        partial(kill_child, session, "orchestrator"),
        partial(kill_supervisor, session),
        partial(kill_manager, client),
        partial(kill_manager, client),
    ]
    chance.shuffle(acts)
    async with with_log as log:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for act in acts:
                    tasks.start_soon(later, act)

        await session.terminate()
        await anyio.wait_all_tasks_blocked()

    await ends_once(client, session)
    assert log.types.count("session_terminated") == 1
    assert "session_failed" not in log.types
    assert session.id not in client.house.registry


@pytest.mark.parametrize("seed", range(10))
async def test_a_session_that_fails_while_it_is_terminated_ends_once(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    session = await client.create_session(config={"max_restarts": 0})

    async def later(act: object) -> None:
        for _ in range(chance.randrange(10)):
            await anyio.lowlevel.checkpoint()
        with suppress(SessionTerminated, SessionFailed, LookupError):
            await act()  # type: ignore[operator]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, session.terminate)
            tasks.start_soon(later, partial(kill_child, session, "context_manager"))

    await session.terminate()
    types = await types_of(client, session)
    assert types[-3:] == WORDS
    assert types.count("session_terminated") == 1
    assert types.count("session_failed") <= 1


# --- a manager that dies in the middle --------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("call", "purge"), [("append", False), ("claim", False), ("append", True), ("purge", True)])
async def test_a_termination_that_the_manager_had_begun_is_finished(call: str, when: str, purge: bool) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id, call, when=when)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(session.terminate, reason="enough", purge=purge))
                await hold.reached.wait()
                await kill_manager(client)
                hold.released.set()

        if purge:
            with pytest.raises(SessionNotFound):
                await session.info()
        else:
            await ends_once(client, session)
            assert (await client.house.store.read(session.id))[-1].data == {"reason": "enough"}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_purge_during_which_the_manager_dies_is_still_answered(when: str) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id, "purge", when=when)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(session.terminate, purge=True))
                await hold.reached.wait()
                await kill_manager(client)
                hold.released.set()

        with pytest.raises(SessionNotFound):
            await session.info()


async def test_a_termination_whose_caller_is_gone_is_finished_by_the_next_manager() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        await session.send_message("user", "hello")
        hold = store.hold(session.id, "claim")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(session.terminate, reason="enough"))
            await hold.reached.wait()
            tasks.cancel_scope.cancel()
        assert (await session.info()).status is SessionStatus.TERMINATING

        await kill_manager(client)
        hold.released.set()
        await anyio.wait_all_tasks_blocked()

        await ends_once(client, session)
        assert (await client.house.store.read(session.id))[-1].data == {"reason": "enough"}


async def test_a_termination_that_is_finished_late_does_not_end_who_has_the_id_by_then() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session(session_id="used_twice")
        begun = store.hold(session.id, "claim")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.terminate)
            await begun.reached.wait()
            # The next manager has found it, and cannot say so yet.
            found = store.hold("", "heads", when="after")
            await kill_manager(client)
            begun.released.set()
            await found.reached.wait()
            await session.terminate(purge=True)
            await client.create_session(session_id="used_twice")
            found.released.set()
            await anyio.wait_all_tasks_blocked()

        assert (await session.info()).status is SessionStatus.ACTIVE


async def test_a_caller_that_goes_away_does_not_stop_a_termination() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.terminate)
            await hold.reached.wait()
            tasks.cancel_scope.cancel()

        hold.released.set()
        await anyio.wait_all_tasks_blocked()

        await ends_once(client, session)


@pytest.mark.parametrize(("purge", "expected"), [(False, SessionTerminated), (True, SessionNotFound)])
async def test_whoever_waits_for_a_session_to_come_back_hears_that_it_has_ended(
    purge: bool, expected: type[Exception]
) -> None:
    store = PoisonStore(MemoryStore())
    async with a_client(store) as client:
        session = await client.create_session(config={"max_restarts": 100})
        # Killed, and it does not come up again.
        store.poisonous.add("child_restarted")
        await kill_supervisor(session)
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                outcomes.extend(await all_of([session.get_history]))

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert outcomes == []
            await session.terminate(purge=purge)

        assert [type(outcome) for outcome in outcomes] == [expected]


# --- what is freed ----------------------------------------------------------------------------------------------------


async def test_what_a_session_cached_goes_with_it(client: Client) -> None:
    mine, other = await client.create_session(), await client.create_session()
    for session in (mine, other):
        client.files.cache_file("a.py", "text", session_id=session.id)

    await mine.terminate()

    assert client.files.get_file("a.py", session_id=mine.id) is None
    assert client.files.get_file("a.py", session_id=other.id) is not None


async def test_no_timer_of_an_ended_session_is_left(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session()
    before = len(client.house.system.timers)

    await session.terminate()

    assert len(client.house.system.timers) == before - 1
    types = await types_of(client, session)
    await world.advance(10_000)
    assert await types_of(client, session) == types


async def test_history_of_a_session_that_was_terminated_reads_on_in_a_fork(client: Client) -> None:
    session = await client.create_session()
    await session.send_message("user", "hello")
    await session.terminate()

    with pytest.raises(SessionTerminated):
        await session.get_history()
    assert await said(await session.fork()) == [("user", "hello")]
