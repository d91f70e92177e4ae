"""A turn that was under way when its process ended is closed as failed, or run again: as the session wants it."""

from typing import Any

import anyio
import pytest

from jidoka.core.errors import IdempotencyConflict, TurnFailed, TurnInProgress
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import journal, said, types_of
from tests.stories.processes import BEFORE, Machine, both_ends


@both_ends
async def test_a_turn_that_was_under_way_is_closed_as_failed(machine: Machine, crashes: bool) -> None:
    async with machine.interrupted(crashes=crashes) as session:
        pass

    async with machine.process(models={"slow": ScriptedModel(["answer"])}) as client:
        await machine.at_rest()
        # Closed in order by the process itself; after a crash by whoever uses the session next.
        assert (await types_of(client, session)).count("turn_failed") == (not crashes)
        session = client.session(session.id)
        assert await said(session) == BEFORE
        ends = [entry for entry in await journal(client, session) if entry.type == "turn_failed"]
        assert [entry.data["error"] for entry in ends] == ["interrupted"]
        assert (await session.prompt("again")).content == "answer"
        assert await said(session) == [*BEFORE, ("user", "again"), ("assistant", "answer")]


@both_ends
async def test_the_key_of_a_turn_that_was_interrupted_says_so_for_ever(machine: Machine, crashes: bool) -> None:
    async with machine.interrupted(crashes=crashes) as session:
        pass

    for _ in range(2):
        async with machine.process(models={"slow": ScriptedModel(["answer"])}) as client:
            with pytest.raises(TurnFailed):
                await client.session(session.id).prompt("question", idempotency_key="my-key-1")
            assert await said(client.session(session.id)) == BEFORE


@both_ends
async def test_a_turn_is_run_again_where_the_session_wants_it(machine: Machine, crashes: bool) -> None:
    async with machine.interrupted(crashes=crashes, interrupted_turn="resume") as session:
        pass

    async with machine.process(models={"slow": ScriptedModel(["whole"])}) as client:
        # Nobody uses the session, and still it is answered.
        await machine.at_rest()
        session = client.session(session.id)
        assert (await session.info()).message_count == 3
        assert await said(session) == [*BEFORE, ("user", "question"), ("assistant", "whole")]
        types = await types_of(client, session)
        assert (types.count("turn_started"), types.count("turn_completed"), types.count("turn_failed")) == (2, 1, 0)
        turns = {e.data["turn_id"] for e in await journal(client, session) if e.type.startswith("turn_")}
        assert turns == {"turn_my-key-1"}
        # And its key has its answer.
        assert (await session.prompt("question", idempotency_key="my-key-1")).content == "whole"
        with pytest.raises(IdempotencyConflict):
            await session.prompt("other", idempotency_key="my-key-1")


async def test_a_turn_is_run_again_when_the_store_was_away_at_the_opening(machine: Machine) -> None:
    async with machine.interrupted(crashes=True, interrupted_turn="resume") as session:
        pass

    async with machine.process(is_away=True, models={"slow": ScriptedModel(["whole"])}) as client:
        await machine.wait(61, 60)
        machine.line.is_away = False
        await machine.wait(60)

        assert (await client.get_session_info(session.id)).message_count == 3


async def test_whoever_asks_again_while_the_turn_is_run_again_gets_its_answer(machine: Machine) -> None:
    async with machine.interrupted(crashes=True, interrupted_turn="resume") as session:
        pass

    go_on = anyio.Event()
    model = ScriptedModel(["whole", go_on])
    async with machine.process(models={"slow": model}) as client:
        session = client.session(session.id)
        await model.started.wait()
        with pytest.raises(TurnInProgress):
            await session.prompt("something else")
        outcomes: list[Any] = []

        async def ask_again() -> None:
            outcomes.append(await session.prompt("question", idempotency_key="my-key-1"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_again)
            await anyio.wait_all_tasks_blocked()
            go_on.set()

        assert outcomes[0].content == "whole"
        assert len(await said(session)) == 3
        assert len(model.seen) == 1


async def test_a_turn_that_ends_its_process_each_time_is_given_up(machine: Machine) -> None:
    async with machine.interrupted(crashes=True, interrupted_turn="resume") as session:
        pass

    for _ in range(2):
        model = ScriptedModel(["again", anyio.Event()])
        async with machine.process(crashes=True, models={"slow": model}):
            await model.started.wait()

    model = ScriptedModel(["again"])
    async with machine.process(models={"slow": model}) as client:
        await machine.at_rest()
        assert model.seen == []
        types = await types_of(client, session)
        assert (types.count("turn_started"), types.count("turn_failed")) == (3, 1)
        assert await said(client.session(session.id)) == BEFORE


async def test_a_turn_that_was_halted_waits_for_its_decision_in_the_next_process(machine: Machine) -> None:
    async with machine.interrupted(crashes=True, interrupted_turn="resume") as session:
        await session.halt(reason="look")

    model = ScriptedModel(["whole"])
    async with machine.process(models={"slow": model}) as client:
        session = client.session(session.id)
        await machine.at_rest()
        assert model.seen == []

        await session.approve(decision="approve")

        await machine.at_rest()
        assert await said(session) == [*BEFORE, ("user", "question"), ("assistant", "whole")]


async def test_a_turn_whose_decision_is_no_is_over(machine: Machine) -> None:
    async with machine.interrupted(crashes=True, interrupted_turn="resume") as session:
        await session.halt(reason="look")

    async with machine.process(models={"slow": ScriptedModel(["whole"])}) as client:
        session = client.session(session.id)
        await session.get_history()
        await machine.at_rest()
        await session.approve(decision="reject")
        await machine.at_rest()

        assert await said(session) == BEFORE
        assert (await types_of(client, session)).count("turn_cancelled") == 1
