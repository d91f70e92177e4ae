"""Agents that ask: the session waits for a person, whose answer goes to the agent. What it does itself is recorded."""

import anyio
import pytest

from jidoka.core.status import SessionStatus
from jidoka.testing.events import listening_to
from tests.stories.agents import a_house, heard, with_agent
from tests.stories.kit import types_of
from tests.stories.turning import Turn


@pytest.mark.parametrize(
    ("model", "question", "decision", "answer"),
    [
        ("exec:lines", "ask", "approve", "True None"),
        ("exec:lines", "ask", "input", "True please"),
        ("acp:official", "permit", "approve", "selected yes"),
        ("acp:official", "permit", "reject", "selected no"),
    ],
)
async def test_an_agents_question_is_answered_by_a_person(
    model: str, question: str, decision: str, answer: str
) -> None:
    async with a_house() as client, anyio.create_task_group() as tasks:
        session = await with_agent(client, model)
        turn = Turn()
        async with listening_to(client, session.id) as log:
            tasks.start_soon(turn.ask, session, question)
            halted = await heard(log, "session_halted")
            status = (await session.info()).status
            if decision == "input":
                await session.send_input("please")
            else:
                await session.approve(decision=decision)
            await heard(log, "turn_completed")

    assert status is SessionStatus.WAITING_INPUT
    assert halted.data["reason"] in {"manners", "permission"}
    assert turn.outcome.content == answer


@pytest.mark.parametrize("model", ["exec:lines", "acp:official"])
async def test_the_tools_that_an_agent_ran_are_in_the_journal_each_with_its_result(model: str) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)

        await session.prompt("tool")

        types = await types_of(client, session)
        assert types.count("tool_call") == types.count("tool_result") == 2
