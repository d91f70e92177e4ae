"""S105: what is asked at once about one child has the results of some order one after another."""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from random import Random
from typing import Any

import anyio
import pytest

from jidoka.actors.backend import Slot
from jidoka.actors.errors import ChildNotFound, ChildStartError
from jidoka.actors.specs import ChildSpec
from tests.unit.actors.supervision.stage import Boom, Careful, Kid, raised_stage
from tests.unit.actors.supervision.world import settle

# 10,000 operations in all.
TASKS, EACH, EXAMPLES = 50, 40, 5
OPERATIONS = ("start", "terminate", "restart", "delete")


class Question:
    """One operation. Answers are written down in the order in which they were given."""

    def __init__(self, operation: str, history: list[tuple[str, str]]) -> None:
        self.operation = operation
        self.history = history
        self.is_answered = False

    def answered(self, answer: str) -> None:
        if not self.is_answered:
            self.is_answered = True
            self.history.append((self.operation, answer))


asking: ContextVar[Question | None] = ContextVar("asking", default=None)


class Seen:
    """The slot of a question."""

    def __init__(self, slot: Slot, question: Question) -> None:
        self.slot = slot
        self.question = question
        self.done = slot.done

    def set_result(self, result: Any) -> None:
        self.question.answered("ok")
        self.slot.set_result(result)

    def set_exception(self, error: BaseException) -> None:
        self.question.answered(name_of(error))
        self.slot.set_exception(error)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.slot.__await__()


def name_of(error: BaseException) -> str:
    if isinstance(error, ChildNotFound):
        return "not_found"
    assert isinstance(error, ChildStartError)
    return "failed" if error.reason == "Boom" else error.reason


# state -> operation -> answer -> next state
MODEL: dict[str, dict[str, dict[str, str]]] = {
    "absent": {
        # A start that a terminate interrupts fails with `shutdown`, and the terminate finds nothing.
        "start": {"ok": "running", "failed": "absent", "shutdown": "absent"},
        "terminate": {"not_found": "absent"},
        "restart": {"not_found": "absent"},
        "delete": {"not_found": "absent"},
    },
    "running": {
        "start": {"already_started": "running"},
        "terminate": {"ok": "stopped"},
        "restart": {"running": "running"},
        "delete": {"running": "running"},
    },
    "stopped": {
        "start": {"already_present": "stopped"},
        "terminate": {"ok": "stopped"},
        "restart": {"ok": "running", "failed": "stopped", "shutdown": "stopped"},
        "delete": {"ok": "absent"},
    },
}


class Jittery(Careful):
    """Takes some turns to come up and to end. At most one lives."""

    async def on_start(self) -> None:
        chance: Random = self.kid.inner["chance"]
        for _ in range(chance.randrange(4)):
            await anyio.lowlevel.checkpoint()
        if chance.random() < 0.2:
            raise Boom
        self.stage.say("start", "x")

    async def on_stop(self) -> None:
        for _ in range(self.kid.inner["chance"].randrange(4)):
            await anyio.lowlevel.checkpoint()
        self.stage.say("done", "x")


async def ask(tree: Any, operation: str, spec: ChildSpec, history: list[tuple[str, str]]) -> None:
    question = Question(operation, history)
    token = asking.set(question)
    try:
        await getattr(tree, f"{operation}_child")(spec if operation == "start" else "x")
    except (ChildNotFound, ChildStartError) as error:
        # What is refused at once never reaches the slot.
        question.answered(name_of(error))
    finally:
        asking.reset(token)


def state_after(history: list[tuple[str, str]]) -> str:
    state = "absent"
    for number, (operation, answer) in enumerate(history):
        options = MODEL[state][operation]
        assert answer in options, f"{number}: {operation} answered {answer} when {state}"
        state = options[answer]
    return state


@pytest.mark.parametrize("seed", range(EXAMPLES))
async def test_s105_concurrent_operations_have_the_results_of_a_serial_order(seed: int, anyio_backend: Any) -> None:
    chance = Random(seed)
    plans = [chance.choices(OPERATIONS, k=EACH) for _ in range(TASKS)]
    history: list[tuple[str, str]] = []
    async with raised_stage() as stage:
        tree = await stage.supervise()
        spec = stage.spec(Kid("x", Jittery, inner={"chance": chance}))
        plain = stage.system.backend.new_slot

        def new_slot() -> Any:
            question = asking.get()
            return plain() if question is None else Seen(plain(), question)

        async def task(plan: list[str]) -> None:
            for operation in plan:
                await ask(tree, operation, spec, history)

        stage.system.backend.new_slot = new_slot
        async with anyio.create_task_group() as tasks:
            for plan in plans:
                tasks.start_soon(task, plan)
        await settle()

        state = state_after(history)
        infos = await tree.which_children()
        assert len(history) == TASKS * EACH
        assert [info.state for info in infos] == ([state] if state in ("running", "stopped") else [])
        assert stage.system.cells == 1 + (state == "running")
        assert stage.log.count("start x") - stage.log.count("done x") == (state == "running")
