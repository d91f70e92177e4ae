"""Stop the line: nothing of a turn takes effect until a person has decided."""

from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import InvalidTransition, TurnCancelled, TurnFailed, TurnInProgress
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.sessions import requests as ask
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import a_client, all_of, journal, moves, said, types_of

WAITING, ACTIVE = SessionStatus.WAITING_INPUT, SessionStatus.ACTIVE


class Halted:
    """A session whose turn has an answer, which may not take effect yet."""

    def __init__(self, client: Client, session: Session, go_on: anyio.Event) -> None:
        self.client = client
        self.session = session
        self.outcome: Any = None
        self._go_on = go_on

    async def begin(self, tasks: Any, model: ScriptedModel) -> None:
        async def ask() -> None:
            [self.outcome] = await all_of([partial(self.session.prompt, "delete everything?")])

        tasks.start_soon(ask)
        await model.started.wait()
        await self.session.halt(reason="too dangerous")
        self._go_on.set()
        await anyio.wait_all_tasks_blocked()
        assert self.outcome is None
        assert await said(self.session) == []
        assert (await self.session.info()).status is WAITING


async def halted(client: Client, model: ScriptedModel, go_on: anyio.Event) -> Halted:
    return Halted(client, await client.create_session(llm_config={"model": "model"}), go_on)


def a_model() -> tuple[ScriptedModel, anyio.Event]:
    go_on = anyio.Event()
    return ScriptedModel([go_on, "done"]), go_on


DECISIONS: dict[str, Any] = {
    "approve": lambda s: s.approve(decision="approve", note="fine", by="ada"),
    "send_input": lambda s: s.send_input("only the old ones"),
    "resume": lambda s: s.resume(),
    "reject": lambda s: s.approve(decision="reject", note="never", by="ada"),
    "terminate": lambda s: s.terminate(),
    "cancel_turn": lambda s: s.cancel_turn(),
}


@pytest.mark.parametrize(
    ("decision", "outcome", "history"),
    [
        ("approve", "done", [("user", "delete everything?"), ("assistant", "done")]),
        (
            "send_input",
            "done",
            [("user", "only the old ones"), ("user", "delete everything?"), ("assistant", "done")],
        ),
        ("resume", "done", [("user", "delete everything?"), ("assistant", "done")]),
        ("reject", TurnCancelled, []),
        ("cancel_turn", TurnCancelled, []),
        ("terminate", TurnFailed, None),
    ],
)
async def test_a_halted_turn_does_what_was_decided(decision: str, outcome: Any, history: Any) -> None:
    model, go_on = a_model()
    async with a_client(models={"model": model}) as client:
        line = await halted(client, model, go_on)
        async with anyio.create_task_group() as tasks:
            await line.begin(tasks, model)
            await DECISIONS[decision](line.session)

        if isinstance(outcome, str):
            assert line.outcome.content == outcome
        else:
            assert isinstance(line.outcome, outcome)
        if history is not None:
            assert await said(line.session) == history
        types = await types_of(client, line.session)
        assert sum(types.count(f"turn_{how}") for how in ("completed", "failed", "cancelled")) == 1


async def test_what_was_halted_and_decided_is_in_the_journal(client: Client) -> None:
    session = await client.create_session()

    halted = await session.halt(reason="too dangerous")
    decided = await session.approve(decision="approve", note="fine", by="ada")

    assert (halted.status, decided.status) == (WAITING, ACTIVE)
    told = {str(entry.type): entry.data for entry in await journal(client, session)}
    assert told["session_halted"] == {"reason": "too dangerous", "evidence": {}}
    assert told["decision_recorded"] == {"decision": "approve", "note": "fine", "by": "ada"}
    assert await moves(client, session) == ["active", "waiting_input", "active"]


async def test_a_decision_can_be_halted_again() -> None:
    model, go_on = a_model()
    async with a_client(models={"model": model}) as client:
        line = await halted(client, model, go_on)
        async with anyio.create_task_group() as tasks:
            await line.begin(tasks, model)
            for _ in range(3):
                await line.session.approve(decision="approve")
                await line.session.halt(reason="again")
            await line.session.approve(decision="approve")

        assert line.outcome.content == "done"


async def test_a_turn_that_is_rejected_takes_no_effect_before_it_hears_so() -> None:
    model, go_on = a_model()
    async with a_client(models={"model": model}) as client:
        line = await halted(client, model, go_on)
        async with anyio.create_task_group() as tasks:
            await line.begin(tasks, model)
            # Whoever rejects is gone as soon as it is in the journal.
            await client.door.context(line.session.id, ask.Decide("reject", None, None, client.door.new_key()))

        assert isinstance(line.outcome, TurnCancelled)
        assert await said(line.session) == []
        assert (await types_of(client, line.session))[-1] == "turn_cancelled"


async def test_halting_twice_is_one_halt(client: Client) -> None:
    session = await client.create_session()

    await session.halt(reason="first")
    await session.halt(reason="second")

    assert (await types_of(client, session)).count("session_halted") == 1
    await session.approve(decision="approve")


async def test_of_many_who_decide_at_once_one_has_decided(client: Client) -> None:
    session = await client.create_session()
    await session.halt(reason="look")

    outcomes = await all_of([partial(session.approve, decision="approve", by=f"{n}") for n in range(10)])

    assert sum(isinstance(outcome, InvalidTransition) for outcome in outcomes) == 9
    assert (await types_of(client, session)).count("decision_recorded") == 1


@pytest.mark.parametrize(
    "kill",
    [lambda _, s: kill_child(s, "context_manager"), lambda client, _: kill_manager(client)],
    ids=["context", "manager"],
)
async def test_a_halted_turn_waits_on_after_a_kill(kill: Any) -> None:
    model, go_on = a_model()
    async with a_client(models={"model": model}) as client:
        line = await halted(client, model, go_on)
        async with anyio.create_task_group() as tasks:
            await line.begin(tasks, model)
            await kill(client, line.session)
            assert (await line.session.info()).status is WAITING
            await line.session.approve(decision="approve")

        assert line.outcome.content == "done"


@pytest.mark.parametrize(
    "kill", [lambda s: kill_child(s, "orchestrator"), kill_supervisor], ids=["orchestrator", "tree"]
)
async def test_a_halted_turn_goes_on_in_another_orchestrator(kill: Any) -> None:
    model, go_on = a_model()
    async with a_client(models={"model": model}) as client:
        line = await halted(client, model, go_on)
        async with anyio.create_task_group() as tasks:
            await line.begin(tasks, model)
            await kill(line.session)

        # Whoever asked is told; the turn waits on.
        assert isinstance(line.outcome, TurnFailed)
        assert await said(line.session) == []
        assert (await line.session.info()).status is WAITING
        with pytest.raises(TurnInProgress):
            await line.session.prompt("and now?")
        async with line.session.subscribe(types=["turn_completed"]) as events:
            await line.session.approve(decision="approve")
            await anext(events)
        assert await said(line.session) == [("user", "delete everything?"), ("assistant", "done")]
        assert (await line.session.prompt("and now?")).content == "done"


async def test_all_lines_can_be_stopped_and_started(client: Client) -> None:
    sessions = [await client.create_session() for _ in range(5)]
    await sessions[0].halt(reason="already")
    await sessions[1].suspend()
    await sessions[2].terminate()

    assert await client.halt_all(reason="stop the line") == 2
    statuses = {(await session.info()).status for session in (sessions[0], *sessions[3:])}
    assert statuses == {WAITING}
    assert (await sessions[1].info()).status is SessionStatus.SUSPENDED

    assert await client.resume_all() == 3
    assert {(await session.info()).status for session in (sessions[0], *sessions[3:])} == {ACTIVE}
    assert (await client.halt_all(reason="x"), await client.resume_all(), await client.resume_all()) == (3, 3, 0)


async def test_turns_of_all_sessions_wait_while_the_lines_are_stopped() -> None:
    go_on = anyio.Event()
    model = ScriptedModel([go_on, "done"])
    async with a_client(models={"model": model}) as client:
        sessions = [await client.create_session(llm_config={"model": "model"}) for _ in range(3)]
        outcomes: list[Any] = []

        async def ask() -> None:
            outcomes.extend(await all_of([partial(session.prompt, "go") for session in sessions]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert await client.halt_all(reason="stop") == 3
            go_on.set()
            await anyio.wait_all_tasks_blocked()
            assert [await said(session) for session in sessions] == [[], [], []]
            await client.resume_all()

        assert [outcome.content for outcome in outcomes] == ["done"] * 3
