"""Turns in which a model uses tools: what is in the journal before, what after, and what the model hears."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.core.chunks import Chunk, ToolCall, ToolResult, Usage
from jidoka.core.errors import InvalidMessage, TurnCancelled, TurnFailed
from jidoka.core.tools import CallInfo
from jidoka.testing.faults import kill_child
from jidoka.testing.models import ScriptedModel
from tests.stories.kit import HeldStore, a_client, journal, said, types_of
from tests.stories.turning import Turn


def call(name: str, id: str = "call_0", **arguments: Any) -> Chunk:
    return Chunk(tool_call=ToolCall(id=id, name=name, arguments=arguments))


class Shelf:
    """A tool with an effect."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.infos: list[CallInfo] = []
        self.hold: anyio.Event | None = None
        self.reached = anyio.Event()

    async def keep(self, thing: str, info: CallInfo) -> str:
        """Put a thing on the shelf."""
        self.kept.append(thing)
        self.infos.append(info)
        self.reached.set()
        if self.hold is not None:
            await self.hold.wait()
        return f"kept {thing}"

    def burn(self, thing: str) -> str:
        raise RuntimeError(f"{thing} does not burn")


LLM = {"model": "model", "tools": ["keep", "burn"]}


async def test_the_answer_comes_after_the_tools_and_all_of_it_is_one_commit() -> None:
    shelf = Shelf()
    model = ScriptedModel(["Let me see. ", call("keep", thing="cup")], [call("keep", thing="jug")], ["Both are there."])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=LLM)

        answer = await session.prompt("Keep a cup and a jug.")

        assert answer.content == "Both are there."
        assert shelf.kept == ["cup", "jug"]
        assert await said(session) == [
            ("user", "Keep a cup and a jug."),
            ("assistant", "Let me see. "),
            ("tool", "kept cup"),
            ("assistant", ""),
            ("tool", "kept jug"),
            ("assistant", "Both are there."),
        ]
        types = await types_of(client, session)
        assert types[2:8] == ["turn_started", *["tool_call", "tool_result"] * 2, "conversation_added"]
        assert types[-1] == "turn_completed"
        # The same id in two rounds: each is told apart.
        history = await session.get_history()
        calls = [one["id"] for message in history for one in message.metadata.get("tool_calls", [])]
        assert calls == [message.metadata["call_id"] for message in history if message.role == "tool"]
        assert len(set(calls)) == 2


async def test_the_model_is_told_of_its_tools_and_of_what_they_said() -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={"model": "model", "tools": ["keep"]})

        await session.prompt("go")

        first, second = model.seen
        assert [tool.name for tool in first.tools] == ["keep"]
        assert [(message.role, message.content) for message in second.conversation] == [
            ("user", "go"),
            ("assistant", ""),
            ("tool", "kept cup"),
        ]
        assert second.conversation[1].metadata["tool_calls"][0]["arguments"] == {"thing": "cup"}
        assert second.conversation[2].metadata["call_id"] == second.conversation[1].metadata["tool_calls"][0]["id"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (call("burn", thing="cup"), "does not burn"),
        (call("fly", thing="cup"), "there is no tool 'fly'"),
        (call("keep", thing=7), "thing"),
        (call("keep"), "thing"),
    ],
)
async def test_a_call_that_goes_wrong_is_heard_by_the_model(wrong: Chunk, words: str) -> None:
    shelf = Shelf()
    model = ScriptedModel([wrong], ["then not"])
    async with a_client(models={"model": model}, tools=[shelf.keep, shelf.burn]) as client:
        session = await client.create_session(llm_config=LLM)

        assert (await session.prompt("go")).content == "then not"

        [result] = [entry.data for entry in await journal(client, session) if entry.type == "tool_result"]
        assert result["outcome"] == "error"
        assert words in result["content"]
        assert shelf.kept == []


@pytest.mark.parametrize(
    "unsound",
    [
        call("keep\0"),
        call("", id="c"),
        call("keep", id="\ud800"),
        call("keep", thing="a\0b"),
        Chunk(tool_result=ToolResult(call_id="c", name="keep", output="half a character: \ud800")),
    ],
)
async def test_what_no_journal_can_hold_is_the_models_failure(unsound: Chunk) -> None:
    shelf = Shelf()
    model = ScriptedModel([unsound], ["fine"])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={"model": "model", "tools": ["keep"]})

        with pytest.raises(TurnFailed):
            await session.prompt("go")

        assert shelf.kept == []
        assert (await session.prompt("again")).content == "fine"


async def test_a_session_without_tools_has_none() -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup")], ["well"])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={"model": "model"})

        await session.prompt("go")

        assert shelf.kept == []
        assert model.seen[0].tools == []


async def test_the_tool_loop_has_an_end() -> None:
    shelf = Shelf()
    model = ScriptedModel(*[[call("keep", thing=f"{number}")] for number in range(9)])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={**LLM, "tools": ["keep"], "max_turns": 3})

        with pytest.raises(TurnFailed) as caught:
            await session.prompt("go")

        assert caught.value.reason == "max_turns"
        # What nobody would have heard is not done.
        assert shelf.kept == ["0", "1"]
        assert await said(session) == []


@pytest.mark.parametrize("bad", [0, -1, "3", True, 1.5])
async def test_max_turns_is_a_count(bad: Any) -> None:
    async with a_client() as client:
        with pytest.raises(InvalidMessage):
            await client.create_session(llm_config={"model": "echo", "max_turns": bad})


async def test_a_call_that_is_cancelled_has_a_result_and_the_history_none() -> None:
    shelf = Shelf()
    shelf.hold = anyio.Event()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={**LLM, "tools": ["keep"]})
        turn = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(turn.ask, session, "go"))
            await shelf.reached.wait()
            await session.cancel_turn()

        assert isinstance(turn.outcome, TurnCancelled)
        assert await said(session) == []
        ends = [entry.data for entry in await journal(client, session) if entry.type == "tool_result"]
        assert [end["outcome"] for end in ends] == ["interrupted"]


async def test_a_context_manager_that_is_killed_during_a_call_changes_nothing() -> None:
    shelf = Shelf()
    shelf.hold = anyio.Event()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={**LLM, "tools": ["keep"]})
        turn = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(turn.ask, session, "go"))
            await shelf.reached.wait()
            await kill_child(session, "context_manager")
            shelf.hold.set()

        assert turn.outcome.content == "done"
        assert shelf.kept == ["cup"]
        assert (await types_of(client, session)).count("tool_result") == 1


async def test_a_turn_that_goes_on_after_a_crash_tells_its_tools_that_they_may_have_run() -> None:
    shelf = Shelf()
    shelf.hold = anyio.Event()
    model = ScriptedModel([call("keep", thing="cup")], [call("keep", thing="cup")], ["done"])
    config = {"interrupted_turn": "resume"}
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={**LLM, "tools": ["keep"]}, config=config)
        turn = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(turn.ask, session, "go", idempotency_key="mine-1"))
            await shelf.reached.wait()
            shelf.hold = None
            await kill_child(session, "orchestrator")

        assert isinstance(turn.outcome, TurnFailed)
        assert (await session.prompt("go", idempotency_key="mine-1")).content == "done"
        # The first call was begun, and nobody knows how it ended: the second has its key, and is told so.
        first, second = shelf.infos
        assert (first.key, first.is_repeat) == (second.key, False)
        assert second.is_repeat
        heard = [message.content for message in model.seen[1].conversation if message.role == "tool"]
        assert heard == ["interrupted: there is no result"]


async def test_calls_that_the_model_has_made_by_itself_are_recorded() -> None:
    shelf = Shelf()
    result = Chunk(tool_result=ToolResult(call_id="call_0", name="search", output={"found": 3}))
    model = ScriptedModel([call("search", what="cups"), result, "Three."])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={"model": "model"})

        assert (await session.prompt("How many cups?")).content == "Three."

        assert (await types_of(client, session))[2:5] == ["turn_started", "tool_call", "tool_result"]
        assert await said(session) == [
            ("user", "How many cups?"),
            ("assistant", ""),
            ("tool", '{"found": 3}'),
            ("assistant", "Three."),
        ]


async def test_what_all_rounds_have_used_is_the_turns() -> None:
    shelf = Shelf()
    model = ScriptedModel(
        [call("keep", thing="cup"), Chunk(usage=Usage(input_tokens=100, output_tokens=10))],
        ["done", Chunk(usage=Usage(input_tokens=120, output_tokens=5, cost=0.5))],
    )
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={**LLM, "tools": ["keep"]})

        await session.prompt("go")

        [over] = [entry.data for entry in await journal(client, session) if entry.type == "turn_completed"]
        assert over["usage"] == {"input_tokens": 220, "output_tokens": 15, "cost": 0.5}
        usage = await session.usage()
        assert (usage.turns, usage.total.total_tokens) == (1, 235)
        assert usage.by_model["model"].cost == 0.5


async def test_a_document_of_a_session_with_tools_is_taken_back() -> None:
    shelf = Shelf()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={**LLM, "tools": ["keep"]})
        await session.prompt("go")

        again = await client.import_session(await session.export())
        fork = await session.fork()

        assert await said(again) == await said(session) == await said(fork)
        assert (await again.prompt("more")).content == "done"


@pytest.mark.parametrize("type", ["tool_call", "tool_result"])
async def test_a_record_of_which_nobody_hears_that_it_was_made_is_not_made_again(type: str) -> None:
    shelf, store = Shelf(), HeldStore()
    shelf.hold = anyio.Event()
    model = ScriptedModel([call("keep", thing="cup")], ["done"])
    async with a_client(store, models={"model": model}, tools=[shelf.keep]) as client:
        session = await client.create_session(llm_config={"model": "model", "tools": ["keep"]})
        begun = store.hold(session.id)
        turn = Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(turn.ask, session, "go"))
            await begun.reached.wait()
            if type == "tool_call":
                written = store.hold(session.id, when="after")
                begun.released.set()
                # That was the turn's beginning.
                await written.reached.wait()
                written.released.set()
            else:
                begun.released.set()
                await shelf.reached.wait()
            written = store.hold(session.id, when="after")
            shelf.hold.set()
            await written.reached.wait()
            await kill_child(session, "context_manager")
            written.released.set()

        assert turn.outcome.content == "done"
        assert shelf.kept == ["cup"]
        types = await types_of(client, session)
        assert (types.count("tool_call"), types.count("tool_result")) == (1, 1)


async def test_two_sessions_have_no_key_in_common_though_their_callers_have() -> None:
    shelf = Shelf()
    model = ScriptedModel(*[[call("keep", thing="cup")], ["done"]] * 2)
    async with a_client(models={"model": model}, tools=[shelf.keep]) as client:
        for _ in range(2):
            session = await client.create_session(llm_config={"model": "model", "tools": ["keep"]})
            await session.prompt("go", idempotency_key="mine")

        assert len({info.key for info in shelf.infos}) == 2
