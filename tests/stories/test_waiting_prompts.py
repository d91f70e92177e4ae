"""Prompts that wait for the turn before them: what becomes of them when somebody leaves, or an actor is killed."""

from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import MailboxFull
from jidoka.adapters.memory import MemoryStore
from jidoka.core.errors import TurnCancelled, TurnFailed
from jidoka.sessions.orchestrator import MOST_WAITING
from jidoka.testing.faults import kill_child
from jidoka.testing.faulty_store import Fault, FaultyStore
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import PATIENCE, HeldStore, a_client, all_of, journal, said, types_of

QUEUE = {"when_busy": "queue"}


async def reached(events: Any, type: str) -> None:
    with anyio.fail_after(PATIENCE):
        while (await anext(events)).type != type:
            pass


async def test_a_stream_that_is_left_while_it_waits_is_never_begun() -> None:
    go = anyio.Event()
    model = ScriptedModel(["first", go], ["second"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config=QUEUE)
        async with session.stream("one") as first:
            assert await anext(first) == "first"
            with anyio.fail_after(PATIENCE):
                async with session.stream("two") as second:
                    pass
            with pytest.raises(TurnCancelled):
                await second.text()
            go.set()
            await first.text()
        await anyio.wait_all_tasks_blocked()

        assert await said(session) == [("user", "one"), ("assistant", "first")]
        assert len(model.seen) == 1


async def test_a_stream_that_was_left_before_it_was_let_in_does_not_go_on() -> None:
    model = ScriptedModel(["for ever", anyio.Event()])
    store = HeldStore()
    async with a_client(store, models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"})

        async def begin() -> None:
            async with session.stream("one") as turn:
                await turn.text()

        # What the next orchestrator finds out takes its time, and so long it lets nobody in.
        hold = store.hold(session.id)
        await kill_child(session, "orchestrator")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin)
            with anyio.fail_after(PATIENCE):
                await hold.reached.wait()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        hold.released.set()
        await anyio.wait_all_tasks_blocked()

        assert not await session.cancel_turn()
        assert await said(session) == []


@pytest.mark.parametrize("status", ["under way", "halted"])
async def test_who_comes_first_after_a_crash_does_not_end_the_turn_that_goes_on(status: str) -> None:
    go = anyio.Event()
    model = ScriptedModel(["first", go], ["first"], ["second"])
    store = HeldStore()
    async with a_client(store, models={"model": model}) as client:
        config = {**QUEUE, "interrupted_turn": "resume"}
        session = await client.create_session(llm_config={"model": "model"}, config=config)
        outcomes: list[Any] = []

        async def ask(text: str) -> None:
            outcomes.extend(await all_of([partial(session.prompt, text, idempotency_key=text)]))

        async with session.subscribe() as events, anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "one")
            await reached(events, "turn_started")
            await model.started.wait()
            if status == "halted":
                await session.halt(reason="look")
            # What the next orchestrator finds out takes its time.
            hold = store.hold(session.id)
            await kill_child(session, "orchestrator")
            with anyio.fail_after(PATIENCE):
                await hold.reached.wait()
            tasks.start_soon(ask, "two")
            await anyio.wait_all_tasks_blocked()
            hold.released.set()
            if status == "halted":
                await anyio.wait_all_tasks_blocked()
                await session.approve(decision="approve")
            tasks.start_soon(ask, "one")

        assert sorted(type(one).__name__ for one in outcomes) == ["Message", "Message", "TurnFailed"]
        assert await said(session) == [
            *[("user", "one"), ("assistant", "first")],
            *[("user", "two"), ("assistant", "second")],
        ]
        assert "turn_failed" not in await types_of(client, session)


async def test_what_waits_is_asked_again_when_the_orchestrator_is_killed() -> None:
    model = ScriptedModel(["for ever", anyio.Event()], ["well"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config=QUEUE)
        outcomes: list[Any] = []

        async def ask(text: str) -> None:
            outcomes.extend(await all_of([partial(session.prompt, text)]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "one")
            await model.started.wait()
            for number in range(3):
                tasks.start_soon(ask, f"waits {number}")
            await anyio.wait_all_tasks_blocked()
            await kill_child(session, "orchestrator")

        assert [type(one).__name__ for one in outcomes].count("TurnFailed") == 1
        assert isinstance(outcomes[0], TurnFailed)
        assert sorted(await said(session)) == sorted(
            [*[("user", f"waits {number}") for number in range(3)], *[("assistant", "well")] * 3]
        )
        assert (await journal(client, session))[-1].type == "turn_completed"


async def test_a_turn_goes_on_once_the_store_is_back() -> None:
    model = ScriptedModel(["half ", anyio.Event()], ["whole"])
    store = FaultyStore(MemoryStore())
    async with a_client(store, models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config={"interrupted_turn": "resume"})
        await session.begin_turn("go")
        await model.started.wait()

        # The next orchestrator cannot be told that there is a turn to go on with.
        store.plan = lambda call: Fault("error")
        await kill_child(session, "orchestrator")
        await anyio.wait_all_tasks_blocked()
        store.plan = None
        async with session.subscribe(types=["turn_completed"]) as events:
            await session.get_history()
            with anyio.fail_after(PATIENCE):
                await anext(events)

        assert await said(session) == [("user", "go"), ("assistant", "whole")]


async def test_so_many_wait_until_it_is_known_whether_a_turn_goes_on_and_no_more() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session(config=QUEUE)
        hold = store.hold(session.id)
        await kill_child(session, "orchestrator")
        with anyio.fail_after(PATIENCE):
            await hold.reached.wait()
        async with anyio.create_task_group() as tasks:
            for number in range(MOST_WAITING):
                tasks.start_soon(partial(session.prompt, f"{number}"))
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(MailboxFull):
                await session.prompt("one too many")
            hold.released.set()

        assert len(await said(session)) == 2 * MOST_WAITING


@pytest.mark.parametrize("when", ["begun", "waiting"])
async def test_a_stream_whose_orchestrator_is_killed_has_failed_however_it_was_let_in(when: str) -> None:
    model = ScriptedModel(["for ever", anyio.Event()])
    store = HeldStore()
    async with a_client(store, models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config=QUEUE)
        if when == "waiting":
            await session.begin_turn("before it")
        hold = store.hold(session.id)
        await kill_child(session, "orchestrator")
        with anyio.fail_after(PATIENCE):
            await hold.reached.wait()
        async with anyio.create_task_group() as tasks:

            async def stream() -> None:
                if when == "waiting":
                    await session.begin_turn("again before it")
                async with session.stream("one") as turn:
                    tasks.start_soon(kill_child, session, "orchestrator")
                    with pytest.raises(TurnFailed):
                        await turn.text()

            tasks.start_soon(stream)
            await anyio.wait_all_tasks_blocked()
            hold.released.set()
