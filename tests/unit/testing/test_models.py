"""ScriptedModel: it says what it is told to, when it is told to."""

import anyio
import pytest

from jidoka import Chunk, Client, TurnCancelled, TurnFailed, Usage
from jidoka.testing.models import ScriptedModel

SCRIPTED = {"model": "scripted"}


async def test_each_turn_takes_the_next_script_and_the_last_is_repeated() -> None:
    model = ScriptedModel(["one"], ["two ", "words"])
    async with Client(models={"scripted": model}) as client:
        session = await client.create_session(llm_config=SCRIPTED)

        answers = [(await session.prompt(f"question {number}")).content for number in range(3)]

    assert answers == ["one", "two words", "two words"]


async def test_it_keeps_what_each_turn_was_shown() -> None:
    model = ScriptedModel(["fine"])
    async with Client(models={"scripted": model}) as client:
        session = await client.create_session(llm_config=SCRIPTED)

        await session.prompt("how are you?")
        await session.prompt("really?")

    assert [[message.content for message in context.conversation] for context in model.seen] == [
        ["how are you?"],
        ["how are you?", "fine", "really?"],
    ]


async def test_an_error_in_the_script_fails_the_turn_and_the_next_one_goes_on() -> None:
    model = ScriptedModel(["half a ", OSError("no network")], ["whole"])
    async with Client(models={"scripted": model}) as client:
        session = await client.create_session(llm_config=SCRIPTED)

        with pytest.raises(TurnFailed, match="no network"):
            await session.prompt("hello")
        answer = await session.prompt("hello again")

        assert answer.content == "whole"
        assert [message.content for message in await session.get_history()] == ["hello again", "whole"]


async def test_an_event_in_the_script_is_waited_for() -> None:
    go_on = anyio.Event()
    model = ScriptedModel(["so ", go_on, "be it"])
    async with Client(models={"scripted": model}) as client:
        session = await client.create_session(llm_config=SCRIPTED)

        async with session.stream("hello") as turn:
            first = await anext(turn)
            await model.started.wait()
            go_on.set()
            rest = await turn.text()

    assert (first, rest) == ("so ", "be it")


async def test_a_turn_that_waits_can_be_cancelled() -> None:
    model = ScriptedModel([anyio.Event()])
    async with Client(models={"scripted": model}) as client:
        session = await client.create_session(llm_config=SCRIPTED)

        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(TurnCancelled):
                    await session.prompt("hello")

            tasks.start_soon(ask)
            await model.started.wait()
            assert await session.cancel_turn() is True


async def test_chunks_are_said_as_they_are() -> None:
    model = ScriptedModel([Chunk(text="hello"), Chunk(usage=Usage(input_tokens=3, output_tokens=1))])
    async with Client(models={"scripted": model}) as client:
        session = await client.create_session(llm_config=SCRIPTED)

        async with session.subscribe(types=["turn_completed"]) as events:
            answer = await session.prompt("hi")
            completed = await anext(events)

    assert answer.content == "hello"
    assert completed.data["usage"]["input_tokens"] == 3


def test_it_can_be_made_before_there_is_a_loop() -> None:
    model = ScriptedModel(["early"])

    async def main() -> str:
        async with Client(models={"scripted": model}) as client:
            session = await client.create_session(llm_config=SCRIPTED)
            return (await session.prompt("hello")).content

    assert anyio.run(main) == "early"
