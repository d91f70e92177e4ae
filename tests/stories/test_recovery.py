"""What one process leaves behind, the next one goes on with: after a crash and after an orderly end."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jidoka.core.errors import (
    IdempotencyConflict,
    InvalidTransition,
    SessionExists,
    SessionFailed,
    SessionNotFound,
    SessionTerminated,
    VersionConflict,
)
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from tests.stories.crashing import everything_in, furnished
from tests.stories.kit import all_of, journal, moves, said, types_of
from tests.stories.processes import BEFORE, Machine, both_ends

# --- finding everything again -----------------------------------------------------------------------


@both_ends
async def test_a_new_process_finds_everything_that_the_old_one_knew(machine: Machine, crashes: bool) -> None:
    async with machine.process(crashes=crashes) as client:
        ids = [(await furnished(client)).id for _ in range(3)]
        before = [await everything_in(client.session(id)) for id in ids]

    async with machine.process() as client:
        assert [info.session_id for info in await client.list_sessions()] == ids
        assert [await everything_in(client.session(id)) for id in ids] == before


@both_ends
async def test_an_active_session_stays_active_and_comes_up_when_it_is_used(machine: Machine, crashes: bool) -> None:
    async with machine.process(crashes=crashes) as client:
        session = await client.create_session()
        entries = await journal(client, session)

    async with machine.process() as client:
        session = client.session(session.id)
        await machine.at_rest()
        assert (await session.info()).status is SessionStatus.ACTIVE
        assert await session.which_children() == []
        assert len(client.house.registry) == 0

        assert await session.get_history() == []

        assert [child.id for child in await session.which_children()] == ["context_manager", "orchestrator"]
        assert await journal(client, session) == entries


async def test_opening_does_not_touch_the_sessions_one_by_one(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        for _ in range(250):
            await client.create_session()

    async with machine.process() as client:
        await machine.at_rest()
        line = machine.line
        assert {name: line.calls.count(name) for name in set(line.calls)} == {"heads": 5}


@both_ends
async def test_a_session_goes_through_many_processes(machine: Machine, crashes: bool) -> None:
    async with machine.process(crashes=crashes) as client:
        session = await client.create_session()
    for number in range(5):
        async with machine.process(crashes=crashes) as client:
            await client.session(session.id).send_message("user", f"{number}")

    async with machine.process() as client:
        assert await said(client.session(session.id)) == [("user", f"{number}") for number in range(5)]
        await journal(client, session)


async def test_writes_of_a_process_that_has_crashed_do_not_arrive(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        line = machine.line
        line.is_away = True
        outcomes = await all_of([lambda: session.send_message("user", "lost")])
        assert [type(outcome).__name__ for outcome in outcomes] == ["StoreUnavailable"]

    async with machine.process() as client:
        assert await said(client.session(session.id)) == []


# --- statuses ---------------------------------------------------------------------------------------


LEFT_AS: dict[str, Callable[[Session], Awaitable[Any]]] = {
    "active": lambda s: s.info(),
    "waiting_input": lambda s: s.halt(reason="look"),
    "suspended": lambda s: s.suspend(),
}


@both_ends
@pytest.mark.parametrize("status", LEFT_AS)
async def test_sessions_are_as_they_were(machine: Machine, status: str, crashes: bool) -> None:
    async with machine.process(crashes=crashes) as client:
        session = await client.create_session(owner="ada")
        await LEFT_AS[status](session)

    async with machine.process() as client:
        await machine.at_rest()
        session = client.session(session.id)
        assert (await session.info()).status == status
        assert [info.session_id for info in await client.list_sessions(status=status, owner="ada")] == [session.id]
        assert (await client.stats()).sessions == {status: 1}
        assert await session.which_children() == []
        await session.resume()
        assert (await session.info()).status is SessionStatus.ACTIVE
        assert "child_restarted" not in await types_of(client, session)


async def test_an_idle_session_stays_idle_until_it_is_used(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        await machine.wait(301)

    async with machine.process() as client:
        session = client.session(session.id)
        assert (await session.info()).status is SessionStatus.IDLE
        await session.send_message("user", "hello")
        assert await moves(client, session) == ["active", "idle", "active"]


async def test_a_decision_reaches_a_session_that_another_process_has_halted(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        await session.halt(reason="look")

    async with machine.process() as client:
        session = client.session(session.id)
        assert (await session.approve(decision="approve", by="ada")).status is SessionStatus.ACTIVE
        with pytest.raises(InvalidTransition):
            await session.approve(decision="approve")


async def test_a_suspended_session_resumes_by_itself_in_another_process(machine: Machine) -> None:
    async with machine.process() as client:
        session = await client.create_session()
        await session.send_message("user", "before")
        await machine.wait(301, 1500)

    async with machine.process() as client:
        session = client.session(session.id)
        assert await said(session) == BEFORE
        assert await moves(client, session) == ["active", "idle", "suspended", "active"]
        assert (await types_of(client, session)).count("session_resumed") == 1


async def test_a_failed_session_comes_back_only_by_resume(machine: Machine) -> None:
    async with machine.process() as client:
        session = await client.create_session(config={"max_restarts": 0})
        await session.send_message("user", "before")
        await kill_child(session, "context_manager")
        await machine.at_rest()

    async with machine.process() as client:
        session = client.session(session.id)
        assert (await session.info()).status is SessionStatus.FAILED
        assert (await session.info()).error is not None
        for refused in (session.get_history, session.get_ref):
            with pytest.raises(SessionFailed):
                await refused()
        with pytest.raises(InvalidTransition):
            await session.suspend()

        info = await session.resume()

        assert (info.status, info.incarnation, info.error) == (SessionStatus.ACTIVE, 2, None)
        assert await said(session) == BEFORE


# --- what was half done -----------------------------------------------------------------------------


@pytest.mark.parametrize("purge", [False, True])
async def test_a_termination_that_was_half_done_is_finished_once_by_the_next_process(
    machine: Machine, purge: bool
) -> None:
    async with machine.process() as client:
        session = await client.create_session()
        line = machine.line
        # Said that it ends, and then the process has ended.
        line.lost_answers.append("append")
        assert [type(outcome).__name__ for outcome in await all_of([lambda: session.terminate(purge=purge)])] == [
            "StoreUnavailable"
        ]
        assert (await moves(client, session))[-1] == "terminating"
        line.is_away = True

    async with machine.process() as client:
        await machine.at_rest()
        if purge:
            with pytest.raises(SessionNotFound):
                await client.session(session.id).info()
        else:
            assert (await types_of(client, session)).count("session_terminated") == 1
            last = (await journal(client, session))[-1]
            assert last.data == {"reason": "requested"}
            with pytest.raises(SessionTerminated):
                await client.session(session.id).get_history()

    async with machine.process() as client:
        await machine.at_rest()
        if not purge:
            assert (await types_of(client, session)).count("session_terminated") == 1


@pytest.mark.parametrize("purge", [False, True])
@pytest.mark.parametrize("status", ["active", "suspended", "failed", "waiting_input"])
async def test_a_session_of_another_process_is_terminated(machine: Machine, status: str, purge: bool) -> None:
    async with machine.process() as client:
        session = await client.create_session(config={"max_restarts": 0})
        if status == "failed":
            await kill_child(session, "context_manager")
            await machine.at_rest()
        else:
            await LEFT_AS[status](session)

    async with machine.process() as client:
        for _ in range(2 - purge):
            await client.terminate_session(session.id, purge=purge, reason="enough")
        if not purge:
            assert (await moves(client, session))[-2:] == ["terminating", "terminated"]
            assert (await client.get_session_info(session.id)).status is SessionStatus.TERMINATED

    async with machine.process() as client:
        if purge:
            with pytest.raises(SessionNotFound):
                await client.terminate_session(session.id)
        else:
            await client.terminate_session(session.id)
            await client.terminate_session(session.id, purge=True)
        assert await client.list_sessions(status=list(SessionStatus)) == []  # pyright: ignore


async def test_what_was_purged_stays_purged_and_its_id_may_be_used_again(machine: Machine) -> None:
    async with machine.process() as client:
        session = await client.create_session(session_id="used_twice")
        await session.send_message("user", "secret", idempotency_key="my-key-1")
        await session.terminate(purge=True)

    async with machine.process(crashes=True) as client:
        with pytest.raises(SessionNotFound):
            await client.session("used_twice").get_history()
        session = await client.create_session(session_id="used_twice")
        await session.send_message("user", "new", idempotency_key="my-key-1")

    async with machine.process() as client:
        assert await said(client.session("used_twice")) == [("user", "new")]


# --- promises about requests ------------------------------------------------------------------------


async def test_the_same_key_has_the_same_answer_for_ever(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        message = await session.send_message("user", "hello", metadata={"a": 1}, idempotency_key="my-key-1")
        answer = await session.prompt("echo", idempotency_key="my-key-2")

    for _ in range(3):
        async with machine.process(crashes=True) as client:
            session = client.session(session.id)
            again = await session.send_message("user", "hello", metadata={"a": 1}, idempotency_key="my-key-1")
            assert again == message
            assert await session.prompt("echo", idempotency_key="my-key-2") == answer
            with pytest.raises(IdempotencyConflict):
                await session.send_message("user", "other", idempotency_key="my-key-1")
            assert len(await session.get_history()) == 3


async def test_versions_count_on(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        session = await client.create_session()
        await session.update(metadata={"a": 1}, expected_version=1)

    async with machine.process() as client:
        session = client.session(session.id)
        with pytest.raises(VersionConflict) as caught:
            await session.update(metadata={"a": 2}, expected_version=1)
        assert caught.value.current_version == 2
        assert (await session.update(metadata={"a": 2}, expected_version=2)).version == 3


async def test_an_id_that_another_process_has_used_is_taken(machine: Machine) -> None:
    async with machine.process(crashes=True) as client:
        await client.create_session(session_id="taken_id_1")
        await client.create_session(session_id="taken_id_2")
        await client.terminate_session("taken_id_2")

    async with machine.process() as client:
        for taken in ("taken_id_1", "taken_id_2"):
            with pytest.raises(SessionExists):
                await client.create_session(session_id=taken)
