"""A turn of the model is there as a whole."""

from collections.abc import AsyncIterator

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, Usage
from jidoka.core.errors import (
    IdempotencyConflict,
    ModelNotFound,
    TurnFailed,
)
from jidoka.core.messages import Context, Message
from jidoka.testing.faults import kill_supervisor
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import a_client, said, take, types_of, waiting_now
from tests.stories.turning import Turn, a_session, is_well_formed, slow


@pytest.mark.parametrize("content", ["hello", " two  words ", "🦔\n\t東京", "x" * 100_000, "-"])
async def test_echo_says_what_it_was_told(client: Client, content: str) -> None:
    session = await client.create_session()

    answer = await session.prompt(content)

    assert isinstance(answer, Message)
    assert (answer.role, answer.content) == ("assistant", content)
    assert await said(session) == [("user", content), ("assistant", content)]
    assert (await types_of(client, session))[2:] == [
        "turn_started",
        "conversation_added",
        "conversation_added",
        "turn_completed",
    ]
    assert (await session.get_history())[-1] == answer


async def test_a_model_is_shown_what_was_said_before_and_the_question_last() -> None:
    model = ScriptedModel(["an answer"])
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)
        await session.send_message("system", "be brief")
        await session.add_file("a.py")
        await session.put_context("plan", 1)
        await session.prompt("first")
        await session.prompt("second")

        assert [message.content for message in model.seen[1].conversation] == [
            "be brief",
            "first",
            "an answer",
            "second",
        ]
        assert model.seen[1].conversation[-1].role == "user"
        assert [file.path for file in model.seen[0].files] == ["a.py"]
        assert model.seen[0].working_context == {"plan": 1}


async def test_a_model_is_told_what_the_session_was_set_to() -> None:
    told: list[LLMConfig] = []

    class Curious:
        async def respond(self, context: Context, config: LLMConfig) -> AsyncIterator[Chunk]:
            told.append(config)
            yield Chunk(text="yes", usage=Usage(input_tokens=3, output_tokens=4))

    async with a_client(models={"curious": Curious()}) as client:
        session = await client.create_session(llm_config={"model": "curious", "temperature": 0.1})
        await session.prompt("hello")

        assert (told[0].model, told[0].options) == ("curious", {"temperature": 0.1})
        usage = (await client.house.store.read(session.id))[-1].data["usage"]
        assert usage == {"input_tokens": 3, "output_tokens": 4}


async def test_what_is_sent_during_a_turn_stands_before_it_in_the_history() -> None:
    go_on = anyio.Event()
    model = slow(go_on, "answer")
    async with a_client(models={"model": model}) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.ask, session)
            await model.started.wait()
            await session.send_message("user", "meanwhile")
            assert await said(session) == [("user", "meanwhile")]
            go_on.set()

        assert await said(session) == [("user", "meanwhile"), ("user", "question"), ("assistant", "half answer")]


async def test_a_caller_that_goes_away_does_not_end_its_turn() -> None:
    go_on = anyio.Event()
    model = slow(go_on, "done")
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)
        async with session.subscribe(types=["turn_completed"]) as events:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.prompt, "question")
                await model.started.wait()
                tasks.cancel_scope.cancel()
            go_on.set()
            await take(events, 1)

        assert await said(session) == [("user", "question"), ("assistant", "half done")]


async def test_output_is_told_live_and_not_stored(client: Client) -> None:
    session = await client.create_session()
    async with session.subscribe() as events:
        await session.prompt("one two three")
        heard = await waiting_now(events)

    output = [event for event in heard if event.type == "output_received"]
    assert "".join(event.data["text"] for event in output) == "one two three"
    assert {event.seq for event in output} == {None}
    assert len({event.id for event in heard}) == len(heard)
    assert "output_received" not in await types_of(client, session)
    assert heard[0].type == "turn_started"
    assert heard[-1].type == "turn_completed"


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["nothing", "kill", "suspend"])
async def test_a_prompt_with_the_same_key_is_answered_and_not_asked_again(between: str) -> None:
    model = ScriptedModel(["first"], ["second"])
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)
        first = await session.prompt("question", idempotency_key="k")
        if between == "kill":
            await kill_supervisor(session)
        if between == "suspend":
            await session.suspend()

        assert await session.prompt("question", idempotency_key="k") == first

        assert len(model.seen) == 1
        with pytest.raises(IdempotencyConflict):
            await session.prompt("another", idempotency_key="k")
        assert (await session.prompt("question", idempotency_key="other")).content == "second"
        await is_well_formed(client, session)


async def test_a_prompt_with_the_key_of_a_turn_that_failed_is_told_so() -> None:
    model = ScriptedModel([ValueError("no")], ["fine"])
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)

        for _ in range(2):
            with pytest.raises(TurnFailed):
                await session.prompt("question", idempotency_key="k")

        assert len(model.seen) == 1
        await is_well_formed(client, session)


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_is_text_then_the_message(client: Client) -> None:
    session = await client.create_session()

    async with session.stream("one two three") as turn:
        pieces = [piece async for piece in turn]

    assert "".join(pieces) == "one two three"
    assert len(pieces) > 1
    assert turn.message == (await session.get_history())[-1]


async def test_a_stream_that_is_only_awaited_has_its_message(client: Client) -> None:
    session = await client.create_session()

    async with session.stream("one two three") as turn:
        assert await turn.text() == "one two three"
        assert turn.message is not None


async def test_leaving_a_stream_early_cancels_the_turn() -> None:
    model = slow()
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)

        with anyio.fail_after(5):
            async with session.stream("question") as turn:
                async for piece in turn:
                    assert piece == "half "
                    break

        assert turn.message is None
        assert await said(session) == []
        assert (await types_of(client, session))[-1] == "turn_cancelled"
        await is_well_formed(client, session)


async def test_a_streamer_that_is_cancelled_cancels_the_turn() -> None:
    model = slow()
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)

        async def stream() -> None:
            async with session.stream("question") as turn:
                await turn.text()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream)
            await model.started.wait()
            tasks.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()

        assert (await types_of(client, session))[-1] == "turn_cancelled"


async def test_a_stream_ends_with_what_ended_its_turn() -> None:
    model = ScriptedModel(["half ", ValueError("no")])
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)

        pieces: list[str] = []
        with pytest.raises(TurnFailed):
            async with session.stream("question") as turn:
                async for piece in turn:
                    pieces.append(piece)

        assert pieces == ["half "]
        await is_well_formed(client, session)


async def test_a_stream_with_a_key_that_was_used_has_the_message_at_once(client: Client) -> None:
    session = await client.create_session()
    answer = await session.prompt("hello", idempotency_key="k")

    async with session.stream("hello", idempotency_key="k") as turn:
        await turn.text()

    assert turn.message == answer


async def test_a_stream_of_a_suspended_session_resumes_it(client: Client) -> None:
    session = await client.create_session()
    await session.suspend()

    async with session.stream("hello") as turn:
        assert await turn.text() == "hello"


async def test_a_model_that_is_not_there_is_refused_when_the_session_is_created(client: Client) -> None:
    with pytest.raises(ModelNotFound) as caught:
        await client.create_session(llm_config={"model": "nobody"})

    assert (caught.value.model, caught.value.known) == ("nobody", ("echo",))
