"""What an agent process says, as chunks: driven as a turn does it, in a session of its own."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from jidoka.core.chunks import Chunk, LLMConfig, Reply
from jidoka.core.errors import TurnFailed
from jidoka.core.messages import Context, Message
from tests.stories.agents import a_house, none_left, processes_of, with_agent
from tests.stories.kit import PATIENCE

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BOTH = [pytest.param("exec:lines", id="lines"), pytest.param("acp:official", id="acp")]


class Talk:
    """A session with an agent, asked without an orchestrator."""

    def __init__(self, client: Any, session: Any, model: str) -> None:
        self.session = session
        self._model = client.house.models.find(model)
        self._config = LLMConfig(model=model)
        self._seq = 0

    def ask(self, question: str) -> Any:
        self._seq += 10
        asked = Message(
            id="", seq=self._seq, session_id=self.session.id, role="user", content=question, at=NOW, metadata={}
        )
        context = Context(
            session_id=self.session.id,
            conversation=[asked],
            files=[],
            file_index={},
            working_context={},
            metadata={},
        )
        return aclosing(self._model.respond(context, self._config))

    async def all_of(self, question: str, reply: Reply | None = None) -> list[Chunk]:
        found: list[Chunk] = []
        answer: Reply | None = None
        with anyio.fail_after(PATIENCE):
            async with self.ask(question) as chunks:
                while True:
                    try:
                        chunk = await chunks.asend(answer)
                    except StopAsyncIteration:
                        return found
                    found.append(chunk)
                    answer = reply if chunk.question is not None else None


@asynccontextmanager
async def talk_with(model: str, **settings: Any) -> AsyncIterator[Talk]:
    async with a_house(**settings) as client:
        session = await with_agent(client, model)
        yield Talk(client, session, model)


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize(
    ("reply", "heard"),
    [
        (Reply(approved=True), "True None"),
        (Reply(approved=True, text="please"), "True please"),
        (Reply(approved=False), "False None"),
        (None, "False None"),
    ],
)
async def test_a_question_in_lines_gets_what_a_person_says(reply: Reply | None, heard: str) -> None:
    async with talk_with("exec:lines") as talk:
        chunks = await talk.all_of("ask", reply)

    question = chunks[0].question
    assert question is not None
    assert (question.text, question.reason, dict(question.evidence)) == ("May I?", "manners", {"what": "cake"})
    assert text_of(chunks) == heard


@pytest.mark.parametrize(
    ("reply", "heard"),
    [(Reply(approved=True), "selected yes"), (Reply(approved=False), "selected no"), (None, "selected no")],
)
async def test_a_permission_is_for_this_once(reply: Reply | None, heard: str) -> None:
    async with talk_with("acp:official") as talk:
        chunks = await talk.all_of("permit", reply)

    question = next(chunk.question for chunk in chunks if chunk.question is not None)
    assert question.text == "May the agent do this: Delete it?"
    assert question.evidence["arguments"] == {"path": "/"}
    assert text_of(chunks) == heard


@pytest.mark.parametrize(("model", "question"), [("exec:lines", "ask"), ("acp:official", "permit")])
async def test_one_that_is_left_with_its_question_is_called_off_and_goes_on(model: str, question: str) -> None:
    async with talk_with(model, agent_grace=5) as talk:
        async with talk.ask(question) as chunks:
            while (await anext(chunks)).question is None:
                pass

        again = await talk.all_of("one")

    assert text_of(again) == "[one]"


@pytest.mark.parametrize("model", BOTH)
async def test_tools_that_an_agent_runs_itself_have_their_results(model: str) -> None:
    async with talk_with(model) as talk:
        chunks = await talk.all_of("tool")

    calls = [chunk.tool_call.id for chunk in chunks if chunk.tool_call is not None]
    results = {chunk.tool_result.call_id: chunk.tool_result for chunk in chunks if chunk.tool_result is not None}
    assert len(calls) == 2
    assert set(calls) == set(results)
    assert [results[call].error for call in calls] == [None, "interrupted: there is no result"]
    assert results[calls[0]].output in {"blue", "abc"}


async def test_what_it_took_is_told() -> None:
    async with talk_with("exec:lines") as talk:
        [chunk] = await talk.all_of("usage")

    assert chunk.usage is not None
    assert chunk.usage.total_tokens == 8


async def test_an_agent_gets_no_files_of_ours() -> None:
    async with talk_with("acp:official") as talk:
        chunks = await talk.all_of("files")

    assert text_of(chunks).startswith("refused:")


@pytest.mark.parametrize(
    ("model", "question", "reason"),
    [
        ("acp:official", "refuse", "agent_refused"),
        ("acp:official", "fail", "agent_failed"),
        ("exec:lines", "wrong", "agent_failed"),
        ("exec:lines", "garbage", "agent_garbled"),
    ],
)
async def test_what_an_agent_does_not_do_is_a_failed_turn_after_which_it_can_be_asked_again(
    model: str, question: str, reason: str
) -> None:
    async with talk_with(model) as talk:
        with pytest.raises(TurnFailed) as failed:
            await talk.all_of(question)

        assert failed.value.reason == reason
        assert text_of(await talk.all_of("one")) == "[one]"


async def test_what_is_said_in_another_session_of_the_agents_is_not_ours() -> None:
    async with talk_with("acp:acp") as talk:
        assert text_of(await talk.all_of("another")) == "for you"


async def test_another_version_of_the_protocol_is_not_spoken() -> None:
    async with talk_with("acp:acp-version") as talk:
        with pytest.raises(TurnFailed) as failed:
            await talk.all_of("one")
        await none_left(talk.session)

    assert failed.value.reason == "agent_not_started"
    assert "version 1" in str(failed.value)


async def test_the_two_that_want_the_same_process_have_it_one_after_the_other() -> None:
    async with talk_with("exec:lines", agent_grace=5) as talk:
        async with talk.ask("hang") as first:
            await anext(first)
            process = processes_of(talk.session)
            # Whoever comes later is a newer incarnation of the one that has it.
            chunks = await talk.all_of("one")

        assert text_of(chunks) == "[one]"
        assert processes_of(talk.session) == process


@pytest.mark.parametrize("model", BOTH)
async def test_text_of_any_length_and_script_arrives_as_it_was_said(model: str) -> None:
    question = "Grüße 世界 🙂 " * 8_000
    async with talk_with(model) as talk:
        chunks = await talk.all_of(question)

    assert text_of(chunks) == f"[{question}]"


async def test_an_agent_of_the_official_package_is_heard_in_order() -> None:
    async with talk_with("acp:official") as talk:
        assert text_of(await talk.all_of("many 500")) == "".join(f"{number} " for number in range(500))
