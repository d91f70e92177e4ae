"""Rules that stop the line before an effect, and the people who move it on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

import jidoka
from jidoka.adapters.memory import MemoryStore
from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, Question, Reply, Usage
from jidoka.core.errors import StoreUnavailable, TurnCancelled
from jidoka.core.messages import Context
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_supervisor
from jidoka.testing.faulty_store import Fault, FaultyStore
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, journal, said, types_of
from tests.stories.test_tool_turns import Shelf, call
from tests.stories.turning import Turn

WAITING, ACTIVE = SessionStatus.WAITING_INPUT, SessionStatus.ACTIVE


@asynccontextmanager
async def halted(client: Client, session: Session, **options: Any) -> AsyncIterator[Turn]:
    """The session's turn, once a rule has stopped it."""
    asked = Turn()
    async with anyio.create_task_group() as tasks, session.subscribe(types=["session_halted"]) as halts:
        tasks.start_soon(partial(asked.ask, session, "go", **options))
        await anext(halts)
        yield asked


async def halts_of(client: Client, session: Session) -> list[dict[str, Any]]:
    return [entry.data for entry in await journal(client, session) if entry.type == "session_halted"]


def with_tools(**more: Any) -> dict[str, Any]:
    return {"model": "model", "tools": ["keep", "burn"], **more}


def needs(*names: str) -> dict[str, Any]:
    return with_tools(rules={"needs_approval": list(names)})


async def test_a_tool_that_needs_approval_does_nothing_before_it_has_it() -> None:
    shelf = Shelf()
    model = ScriptedModel(["I will. ", call("keep", thing="cup")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=needs("keep"))
        async with halted(client, session) as asked:
            assert shelf.kept == []
            assert (await session.info()).status is WAITING
            assert "tool_call" not in await types_of(client, session)
            await session.approve(decision="approve", note="fine", by="ada")

        assert asked.outcome.content == "done"
        assert shelf.kept == ["cup"]
        [halt] = await halts_of(client, session)
        assert (halt["reason"], halt["evidence"]["tool"]) == ("needs_approval", "keep")
        decisions = [entry for entry in await journal(client, session) if entry.type == "decision_recorded"]
        assert [(entry.data["decision"], entry.data["by"]) for entry in decisions] == [("approve", "ada")]
        assert (await said(session))[1] == ("assistant", "I will. ")


async def test_a_tool_can_say_itself_that_it_needs_approval() -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    tools = [jidoka.tool(shelf.keep, needs_approval=True)]
    async with a_client(models={"model": model}, tools=tools) as client:
        session = await client.create_session(llm_config={"model": "model", "tools": ["keep"]})
        async with halted(client, session) as asked:
            assert shelf.kept == []
            await session.resume()

        assert asked.outcome.content == "done"


async def test_a_call_that_is_refused_is_not_made_and_the_model_hears_why() -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup"), call("burn", id="b", thing="jug")], ["then not"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=needs("keep"))
        async with halted(client, session) as asked:
            await session.approve(decision="reject", note="too fragile", by="ada")

        assert asked.outcome.content == "then not"
        assert shelf.kept == []
        heard = [message.content for message in model.seen[1].conversation if message.role == "tool"]
        assert "too fragile" in heard[0]
        assert "does not burn" in heard[1]


@pytest.mark.parametrize("how", ["cancel_turn", "deadline"])
async def test_a_halted_turn_that_is_called_off_leaves_the_line_running(how: str, world: VirtualWorld) -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn], world=world) as client:
        session = await client.create_session(llm_config=needs("keep"))
        async with halted(client, session, timeout=60) as asked:
            if how == "deadline":
                await world.advance(61)
            else:
                await session.cancel_turn()

        assert isinstance(asked.outcome, TurnCancelled if how == "cancel_turn" else jidoka.CallTimeout)
        assert (await session.info()).status is ACTIVE
        assert shelf.kept == []
        decisions = [entry.data for entry in await journal(client, session) if entry.type == "decision_recorded"]
        assert [data["decision"] for data in decisions] == ["expired" if how == "deadline" else "cancel_turn"]
        assert (await session.prompt("again")).content == "done"


async def test_the_same_call_that_keeps_failing_stops_the_line_once() -> None:
    shelf = Shelf()
    model = ScriptedModel(*[[call("burn", thing="cup")]] * 4, ["I give up"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=with_tools())
        async with halted(client, session) as asked:
            [halt] = await halts_of(client, session)
            assert (halt["reason"], halt["evidence"]["times"]) == ("call_keeps_failing", 3)
            await session.approve(decision="approve")

        assert asked.outcome.content == "I give up"
        assert len(await halts_of(client, session)) == 1


async def test_calls_without_progress_stop_the_line() -> None:
    shelf = Shelf()
    model = ScriptedModel(*[[call("keep", thing="cup")]] * 5, ["enough"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=with_tools())
        async with halted(client, session) as asked:
            assert [halt["reason"] for halt in await halts_of(client, session)] == ["no_progress"]
            assert len(shelf.kept) == 5
            await session.approve(decision="reject", by="ada")

        assert isinstance(asked.outcome, TurnCancelled)
        assert await said(session) == []


async def test_a_budget_that_is_nearly_spent_stops_the_line_and_is_not_held_up_again() -> None:
    usage = Chunk(usage=Usage(input_tokens=90, output_tokens=5))
    model = ScriptedModel(["one", usage], ["two"], ["three"])
    budget = {"session_tokens": 100}
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model", "budget": budget})
        await session.prompt("first")
        async with halted(client, session) as asked:
            assert len(model.seen) == 1
            [halt] = await halts_of(client, session)
            assert (halt["reason"], halt["evidence"]["spent"]) == ("budget_nearly_spent", 95)
            await session.approve(decision="approve")

        assert asked.outcome.content == "two"
        assert len(await halts_of(client, session)) == 1


@pytest.mark.parametrize("kill", ["orchestrator", "context_manager", "supervisor"])
async def test_a_halted_turn_outlives_its_actors(kill: str) -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup"), call("keep", id="b", thing="jug")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=needs("keep"))
        async with halted(client, session, idempotency_key="mine-1"):
            await (kill_supervisor(session) if kill == "supervisor" else kill_child(session, kill))
            await anyio.wait_all_tasks_blocked()
            assert (await session.info()).status is WAITING
            async with session.subscribe(types=["session_halted", "turn_completed"]) as events:
                await session.approve(decision="approve")
                assert (await anext(events)).type == "session_halted"
                await session.approve(decision="approve")
                assert (await anext(events)).type == "turn_completed"

        assert shelf.kept == ["cup", "jug"]
        assert (await session.prompt("go", idempotency_key="mine-1")).content == "done"
        assert len(model.seen) == 2


@pytest.mark.parametrize("decision", ["approve", "reject", "cancel_turn", "resume"])
async def test_a_halted_turn_outlives_its_process(decision: str) -> None:
    shelf, store, world = Shelf(), MemoryStore(), VirtualWorld()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with Client(store, models={"model": model}, tools=[shelf.keep, shelf.burn], world=world) as client:
        session = await client.create_session(llm_config=needs("keep"))
        async with session.subscribe(types=["session_halted"]) as halts:
            await session.begin_turn("go")
            await anext(halts)

    async with Client(store, models={"model": model}, tools=[shelf.keep, shelf.burn], world=world) as client:
        session = client.session(session.id)
        assert (await session.info()).status is WAITING
        assert shelf.kept == []
        if decision in {"approve", "reject"}:
            await session.approve(decision=decision)
        else:
            await (session.cancel_turn() if decision == "cancel_turn" else session.resume())
        await anyio.wait_all_tasks_blocked()

        assert (await session.info()).status is ACTIVE
        assert shelf.kept == (["cup"] if decision in {"approve", "resume"} else [])
        types = await types_of(client, session)
        assert types.count("turn_cancelled" if decision == "cancel_turn" else "turn_completed") == 1


async def test_all_sessions_are_halted_and_go_on_together() -> None:
    shelf = Shelf()
    model = ScriptedModel(["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        sessions = [await client.create_session(llm_config=with_tools()) for _ in range(5)]

        assert await client.halt_all(reason="fire drill") == 5
        assert {(await session.info()).status for session in sessions} == {WAITING}
        assert await client.resume_all() == 5
        assert {(await session.info()).status for session in sessions} == {ACTIVE}


class Asks:
    """A model that asks."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        reply: Any = yield Chunk(question=Question(text="May I?", reason="permission", evidence={"path": "/tmp"}))
        self.replies.append(reply)
        yield Chunk(text=f"{reply.approved} {reply.text}")


@pytest.mark.parametrize(
    ("decide", "answer"),
    [
        (lambda s: s.approve(decision="approve"), "True None"),
        (lambda s: s.approve(decision="reject", note="never"), "False never"),
        (lambda s: s.send_input("only there"), "True only there"),
    ],
    ids=["approve", "reject", "input"],
)
async def test_a_model_that_asks_hears_what_a_person_says(decide: Any, answer: str) -> None:
    async with a_client(models={"model": Asks()}) as client:
        session = await client.create_session(llm_config={"model": "model"})
        async with halted(client, session) as asked:
            [halt] = await halts_of(client, session)
            assert (halt["reason"], halt["evidence"]) == ("permission", {"path": "/tmp", "question": "May I?"})
            await decide(session)

        assert asked.outcome.content == answer
        assert (await session.info()).status is ACTIVE


async def test_what_was_used_before_a_halt_is_counted_by_the_next_process() -> None:
    shelf, store, world = Shelf(), MemoryStore(), VirtualWorld()
    used = Chunk(usage=Usage(input_tokens=100, output_tokens=10))
    model = ScriptedModel([call("keep", thing="cup"), used], ["done", Chunk(usage=Usage(input_tokens=5))])
    async with Client(store, models={"model": model}, tools=[shelf.keep, shelf.burn], world=world) as client:
        session = await client.create_session(llm_config=needs("keep"))
        async with halted(client, session, idempotency_key="mine-1"):
            await kill_supervisor(session)
            await session.approve(decision="approve")
            assert (await session.prompt("go", idempotency_key="mine-1")).content == "done"

        assert (await session.usage()).total.total_tokens == 115


async def test_a_turn_that_a_person_has_rejected_is_not_gone_on_with() -> None:
    store, world = HeldStore(), VirtualWorld()
    model = ScriptedModel(["half ", anyio.Event()], ["again"])
    async with Client(store, models={"model": model}, world=world) as client:
        session = await client.create_session(
            llm_config={"model": "model"}, config={"interrupted_turn": "resume", "when_busy": "queue"}
        )
        asked = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked.ask, session, "go")
            await model.started.wait()
            await session.halt(reason="look")
            # Of the decision nobody hears but the journal.
            hold = store.hold(session.id, when="after")
            tasks.start_soon(partial(session.approve, decision="reject"))
            await hold.reached.wait()
            await kill_child(session, "orchestrator")
            hold.released.set()

        types = await types_of(client, session)
        assert "turn_cancelled" in types
        assert types.count("turn_started") == 1
        assert len(model.seen) == 1
        assert await said(session) == []


@pytest.mark.parametrize("decision", ["approve", "reject"])
@pytest.mark.parametrize("how", ["lost", "killed"])
async def test_what_a_person_has_decided_counts_though_nobody_was_told_that_it_was_written(
    decision: str, how: str
) -> None:
    shelf, held = Shelf(), HeldStore()
    store = FaultyStore(held)
    model = ScriptedModel([call("burn", thing="cup")], ["done"])
    rules = {"same_call_failures": 1}
    async with a_client(store, models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=with_tools(rules=rules))
        async with halted(client, session) as asked:
            if how == "lost":
                store.plan = lambda call: Fault("error", "after") if call.name == "append" else None
                with pytest.raises(StoreUnavailable):
                    await session.approve(decision=decision)
                store.plan = None
                await session.get_history()
            else:
                hold = held.hold(session.id, when="after")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(partial(session.approve, decision=decision))
                    await hold.reached.wait()
                    # Whoever has decided is gone, too.
                    tasks.cancel_scope.cancel()
                await kill_child(session, "context_manager")
                hold.released.set()

        if decision == "approve":
            assert asked.outcome.content == "done"
        else:
            assert isinstance(asked.outcome, TurnCancelled)
