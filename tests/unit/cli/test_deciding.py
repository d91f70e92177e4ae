"""A chat with models that ask, and that use tools: the person decides, today or after a restart."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, Question, ToolCall
from jidoka.core.messages import Context
from tests.unit.cli.chatting import at_a_desk


class Asks:
    """Wants to know something, and says what it was told."""

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        reply = yield Chunk(question=Question(text="Which file?", reason="unclear", evidence={"choices": ["a", "b"]}))  # pyright: ignore
        yield Chunk(text=f"{reply.approved} {reply.text}")


class Removes:
    """Has a tool used, and says what came of it."""

    async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
        if context.conversation[-1].role == "tool":
            yield Chunk(text=context.conversation[-1].content)
        else:
            yield Chunk(tool_call=ToolCall(id="c1", name="remove", arguments={"path": "/x"}))


def remove(path: str) -> str:
    """Remove a file."""
    return f"removed {path}"


CAREFUL: dict[str, Any] = {"model": "removes", "tools": ["remove"], "rules": {"needs_approval": ["remove"]}}


def a_client(store: str = "memory://") -> Client:
    return Client(store, models={"asks": Asks(), "removes": Removes()}, tools=[remove])


@pytest.mark.parametrize(
    ("line", "told"), [("b", "True b"), ("/approve", "True None"), ("/reject a guess", "False a guess")]
)
async def test_a_question_shows_its_evidence_and_hears_the_answer(line: str, told: str) -> None:
    async with a_client() as client:
        session = await client.create_session(llm_config={"model": "asks"})
        async with at_a_desk(client, session) as (desk, _):
            desk.types("go")
            asked = await desk.eyes.next("session_halted")
            desk.types(line)
            await desk.eyes.next("message")

    assert (asked["is_question"], asked["text"], asked["reason"]) == (True, "Which file?", "unclear")
    assert asked["evidence"]["choices"] == ["a", "b"]
    assert desk.said == [told]


@pytest.mark.parametrize(("line", "outcome"), [("y", "removed /x"), ("n", "a person has refused this call")])
async def test_a_call_that_needs_approval_is_made_only_then(line: str, outcome: str) -> None:
    async with a_client() as client:
        session = await client.create_session(llm_config=CAREFUL)
        async with at_a_desk(client, session) as (desk, _):
            desk.types("go")
            assert (await desk.eyes.next("session_halted"))["evidence"]["tool"] == "remove"
            assert desk.eyes.all("tool_call") == []
            desk.types(line)
            await desk.eyes.next("message")

    assert [result["content"] for result in desk.eyes.all("tool_result")] == [outcome]
    assert desk.said == [outcome]


async def test_a_call_that_waits_is_decided_about_in_another_process(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'jidoka.db'}"
    async with a_client(store) as client:
        session = await client.create_session(llm_config=CAREFUL)
        async with at_a_desk(client, session) as (desk, _):
            desk.types("go")
            await desk.eyes.next("session_halted")

    async with a_client(store) as client, at_a_desk(client, client.session(session.id)) as (desk, _):
        assert (await desk.eyes.next("session_halted"))["reason"] == "needs_approval"
        desk.types("y")
        await desk.eyes.next("message")

    assert desk.said == ["removed /x"]
