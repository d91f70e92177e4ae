"""What a session may say of its turns: budgets, queues, questions that are kept; and turns that nobody waits for."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.core.chunks import Chunk, ToolCall, Usage
from jidoka.core.errors import InvalidMessage, TurnFailed
from jidoka.testing.faults import kill_child
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import a_client, all_of, journal, said, types_of

WORDS = ["four"] * 50


@pytest.mark.parametrize(
    ("budget", "most"),
    [
        ({"turn_tokens": 10}, 11),
        ({"session_tokens": 10}, 11),
        ({"turn_cost": 0.00001, "output_price": 1.0}, 11),
    ],
    ids=["turn", "session", "cost"],
)
async def test_a_budget_ends_the_turn_at_most_a_chunk_too_late(budget: dict[str, Any], most: int) -> None:
    model = ScriptedModel(WORDS)
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model", "budget": budget, "rules": False})

        with pytest.raises(TurnFailed) as caught:
            await session.prompt("go")

        assert caught.value.reason == "budget_exceeded"
        [over] = [entry.data for entry in await journal(client, session) if entry.type == "turn_failed"]
        assert over["reason"] == "budget_exceeded"
        # What was said is kept, and is no part of the history.
        assert over["text"] == "four" * (len(over["text"]) // 4)
        assert over["usage"]["output_tokens"] <= most
        assert await said(session) == []


async def test_a_budget_that_is_spent_calls_no_model() -> None:
    model = ScriptedModel(["one", Chunk(usage=Usage(input_tokens=90, output_tokens=15))], ["two"])
    llm = {"model": "model", "budget": {"session_tokens": 100}, "rules": False}
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config=llm)
        with pytest.raises(TurnFailed):
            await session.prompt("go")
        with pytest.raises(TurnFailed) as caught:
            await session.prompt("again")

        assert caught.value.reason == "budget_exceeded"
        assert len(model.seen) == 1
        assert (await session.usage()).total.total_tokens >= 105


async def test_rounds_of_which_a_model_reports_nothing_count_as_well() -> None:
    call = Chunk(tool_call=ToolCall(id="c", name="none", arguments={"text": "four" * 40}))
    model = ScriptedModel([call], [call], [call], ["done"])
    llm = {"model": "model", "budget": {"turn_tokens": 300}, "rules": False}
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config=llm)

        with pytest.raises(TurnFailed) as caught:
            await session.prompt("go")

        assert caught.value.reason == "budget_exceeded"
        assert len(model.seen) == 3
        assert 120 < (await session.usage()).total.output_tokens < 140


@pytest.mark.parametrize(
    "bad",
    [7, {"turn_tokens": -1}, {"turn_tokens": 1.5}, {"turn_tokens": True}, {"unknown": 1}, {"turn_cost": "1"}],
)
async def test_a_budget_that_is_none_is_refused(bad: Any) -> None:
    async with a_client() as client:
        with pytest.raises(InvalidMessage) as caught:
            await client.create_session(llm_config={"model": "echo", "budget": bad})

        assert str(caught.value.field).startswith("budget")


async def test_prompts_wait_for_each_other_where_the_session_wants_it() -> None:
    go_on = anyio.Event()
    model = ScriptedModel([go_on, "first"], ["second"], ["third"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config={"when_busy": "queue"})
        outcomes: list[Any] = []

        async def ask() -> None:
            calls = [partial(session.prompt, f"{number}") for number in range(3)]
            outcomes.extend(await all_of(calls))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await model.started.wait()
            await anyio.wait_all_tasks_blocked()
            assert (await types_of(client, session)).count("turn_started") == 1
            go_on.set()

        assert sorted(answer.content for answer in outcomes) == ["first", "second", "third"]
        roles = [role for role, _ in await said(session)]
        assert roles == ["user", "assistant"] * 3


async def test_prompts_that_wait_are_asked_again_when_the_orchestrator_is_killed() -> None:
    model = ScriptedModel([anyio.Event()], ["second"], ["third"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config={"when_busy": "queue"})
        outcomes: list[Any] = []

        async def ask() -> None:
            outcomes.extend(await all_of([partial(session.prompt, f"{number}") for number in range(3)]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await model.started.wait()
            await anyio.wait_all_tasks_blocked()
            await kill_child(session, "orchestrator")

        # The one that was under way has failed; the others are asked again.
        assert [type(outcome) for outcome in outcomes].count(TurnFailed) == 1
        answers = [outcome.content for outcome in outcomes if not isinstance(outcome, TurnFailed)]
        assert sorted(answers) == ["second", "third"]


async def test_the_question_of_a_turn_that_failed_is_kept_where_the_session_wants_it() -> None:
    model = ScriptedModel(["half", RuntimeError("no")], ["whole"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"}, config={"failed_question": "keep"})
        with pytest.raises(TurnFailed):
            await session.prompt("why?")

        [kept] = await session.get_history()
        assert (kept.role, kept.content, kept.metadata["failed"]) == ("user", "why?", True)
        assert (await session.prompt("again")).content == "whole"


async def test_a_turn_can_be_left_to_the_session_and_looked_at_from_anywhere() -> None:
    go_on = anyio.Event()
    model = ScriptedModel([go_on, "done"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"})

        turn_id = await session.begin_turn("go", idempotency_key="mine-1")

        assert (await types_of(client, session))[-1] == "turn_started"
        # Once more, with its key: it is the same.
        assert await session.begin_turn("go", idempotency_key="mine-1") == turn_id
        async with session.subscribe(after=0, types=["turn_started", "turn_completed"]) as events:
            assert (await anext(events)).data["turn_id"] == turn_id
            go_on.set()
            assert (await anext(events)).type == "turn_completed"
        async with session.subscribe(after=0, types=["turn_completed"]) as events:
            assert (await anext(events)).data["turn_id"] == turn_id
        assert (await session.prompt("go", idempotency_key="mine-1")).content == "done"
        assert len(model.seen) == 1


async def test_two_who_ask_with_one_key_hear_one_answer() -> None:
    go_on = anyio.Event()
    model = ScriptedModel([go_on, "done"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model"})
        outcomes: list[Any] = []

        async def ask() -> None:
            outcomes.extend(await all_of([partial(session.prompt, "go", idempotency_key="mine-1")] * 2))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await model.started.wait()
            await anyio.wait_all_tasks_blocked()
            go_on.set()

        assert outcomes[0] == outcomes[1]
        assert len(model.seen) == 1


async def test_what_is_left_out_is_said_before_the_model_is_called() -> None:
    model = ScriptedModel(["fine"])
    llm = {"model": "model", "context": {"policy": "recent", "recent": 4, "max_tokens": 100, "threshold": 0.5}}
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config=llm)
        for number in range(40):
            await session.send_message("user" if number % 2 == 0 else "assistant", f"message {number} with some words")

        await session.prompt("go")

        types = await types_of(client, session)
        assert types[-5:-3] == ["context_pruned", "turn_started"]
        [pruned] = [entry.data for entry in await journal(client, session) if entry.type == "context_pruned"]
        assert pruned["messages_before"] == 41
        assert pruned["messages_after"] == len(model.seen[0].conversation) <= 4
        # The history is as it was.
        assert len(await session.get_history()) == 42


async def test_a_question_that_does_not_fit_is_not_cut_but_refused() -> None:
    model = ScriptedModel(["fine"])
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config={"model": "model", "context": {"max_tokens": 100}})

        with pytest.raises(TurnFailed) as caught:
            await session.prompt("word " * 100)

        assert caught.value.reason == "context_exceeded"
        assert model.seen == []
        assert "turn_started" not in await types_of(client, session)
        assert (await session.prompt("word")).content == "fine"


async def test_a_tools_result_that_does_not_fit_fails_the_turn() -> None:
    model = ScriptedModel([Chunk(tool_call=ToolCall(id="c", name="talk"))], ["never"])
    llm = {"model": "model", "tools": ["talk"], "context": {"max_tokens": 100}}
    async with a_client(models={"model": model}, tools=[talk]) as client:
        session = await client.create_session(llm_config=llm)

        with pytest.raises(TurnFailed) as caught:
            await session.prompt("go")

        assert caught.value.reason == "context_exceeded"
        [over] = [entry.data for entry in await journal(client, session) if entry.type == "turn_failed"]
        assert over["reason"] == "context_exceeded"


def talk() -> str:
    return "word " * 100


async def test_the_older_part_is_summarised_by_the_model_and_that_is_kept() -> None:
    model = ScriptedModel(["They talked about cups.", Chunk(usage=Usage(input_tokens=9, output_tokens=3))], ["fine"])
    llm = {"model": "model", "context": {"policy": "summarise", "max_tokens": 200}}
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config=llm)
        for number in range(30):
            await session.send_message("user" if number % 2 == 0 else "assistant", f"message {number} with some words")

        assert (await session.prompt("go")).content == "fine"

        asked, called = model.seen[0], model.seen[-1]
        assert [message.role for message in asked.conversation] == ["system", "user"]
        assert "They talked about cups." in called.conversation[0].content
        parts = [entry.data.get("part") for entry in await journal(client, session)]
        assert parts.count("summary") == len(model.seen) - 1
        assert (await session.usage()).total.input_tokens >= 9


async def test_without_a_summary_the_turn_goes_on() -> None:
    model = ScriptedModel([RuntimeError("no")], ["fine"])
    llm = {"model": "model", "context": {"policy": "summarise", "max_tokens": 200}}
    async with a_client(models={"model": model}) as client:
        session = await client.create_session(llm_config=llm)
        for number in range(30):
            await session.send_message("user" if number % 2 == 0 else "assistant", f"message {number} with some words")

        assert (await session.prompt("go")).content == "fine"

        assert "context_pruned" in await types_of(client, session)
