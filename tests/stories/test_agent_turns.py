"""Turns whose model is an agent process: what is said arrives, and what ends in the middle ends well."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from jidoka.client import Client
from jidoka.core.errors import InvalidMessage, ModelNotFound, SessionFailed, TurnFailed
from jidoka.core.settings import Settings
from jidoka.core.status import SessionStatus
from jidoka.testing.events import listening_to
from jidoka.testing.world import VirtualWorld
from tests.stories.agents import AGENTS, a_house, gone, heard, none_left, pids_in, processes_of, restarts, with_agent
from tests.stories.kit import said
from tests.stories.processes import ignoring_errors
from tests.stories.turning import Turn, is_well_formed

STAYING = [pytest.param("exec:lines", id="lines"), pytest.param("acp:acp", id="acp")]
# All that may hang, each in its own way: the model, and what to ask it.
HANGING = [
    pytest.param("exec:hang", "question", id="exec"),
    pytest.param("exec:lines", "hang", id="lines"),
    pytest.param("acp:acp", "hang", id="acp"),
]
STUBBORN = [
    pytest.param("exec:stubborn", "question", id="exec"),
    pytest.param("exec:lines", "stubborn", id="lines"),
    pytest.param("acp:acp", "stubborn", id="acp"),
]


async def test_a_command_is_run_for_each_turn() -> None:
    async with a_house() as client:
        session = await with_agent(client, "exec:upper")

        answers = [await session.prompt("one"), await session.prompt("two\nlines")]

        assert [answer.content for answer in answers] == ["ONE", "TWO\nLINES"]
        assert await said(session) == [
            ("user", "one"),
            ("assistant", "ONE"),
            ("user", "two\nlines"),
            ("assistant", "TWO\nLINES"),
        ]
        assert not processes_of(session)


@pytest.mark.parametrize("model", STAYING)
async def test_one_that_stays_is_one_process_for_all_turns(model: str) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)

        first = await session.prompt("one")
        process = processes_of(session)
        second = await session.prompt("two")

        assert (first.content, second.content) == ("[one]", "[two]")
        assert processes_of(session) == process != set()
        assert [child.id for child in await session.which_children()] == ["context_manager", "orchestrator", "agent"]


async def test_what_an_agent_says_is_streamed_in_order_and_once() -> None:
    async with a_house() as client:
        session = await with_agent(client, "acp:acp")
        async with listening_to(client, session.id) as log, session.stream("many 300") as chunks:
            pieces = [piece async for piece in chunks]

        heard = [event.data["text"] for event in log.events if event.type == "output_received"]
        assert pieces == heard == [f"{number} " for number in range(300)]


async def test_a_session_with_another_model_has_no_agent_process() -> None:
    async with a_house() as client:
        session = await client.create_session()

        assert [child.id for child in await session.which_children()] == ["context_manager", "orchestrator"]


@pytest.mark.parametrize(("model", "question"), HANGING)
async def test_a_process_that_is_killed_in_the_middle_fails_its_turn_and_nothing_else(
    model: str, question: str
) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)
        async with listening_to(client, session.id) as log:
            with pytest.raises(TurnFailed) as failed:
                async with session.stream(question) as chunks:
                    [pid] = await pids_in(chunks)
                    os.kill(pid, signal.SIGKILL)
                    async for _ in chunks:
                        pass
            await heard(log, "child_restarted")

        assert failed.value.reason == "agent_ended"
        assert "killed by signal 9" in failed.value.error
        assert await restarts(session) == {"context_manager": 0, "orchestrator": 0, "agent": 1}
        assert await said(session) == []
        await session.update(metadata={"it": "lives"})
        await none_left(session)


@pytest.mark.parametrize("model", STAYING)
async def test_the_next_turn_has_a_new_process_which_is_told_what_was_said(model: str) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)
        await session.prompt("one")
        async with listening_to(client, session.id) as log:
            with pytest.raises(TurnFailed):
                await session.prompt("die")
            await heard(log, "child_restarted")

        answer = await session.prompt("memory")

        assert "[one]" in answer.content
        assert "die" not in answer.content
        await is_well_formed(client, session)


async def test_one_that_stays_is_told_only_what_is_new() -> None:
    async with a_house() as client:
        session = await with_agent(client, "exec:lines")
        await session.prompt("one")
        await session.send_message("user", "by the way")
        await session.prompt("two")

        answer = await session.prompt("memory")

        assert answer.content.count("one") == 1
        assert answer.content.count("two") == 1
        assert answer.content.count("by the way") == 1


async def test_one_that_dies_between_two_turns_is_restarted_without_anybody_noticing() -> None:
    async with a_house() as client:
        session = await with_agent(client, "exec:lines")
        await session.prompt("one")
        async with listening_to(client, session.id) as log:
            before = processes_of(session)
            os.kill(max(before), signal.SIGKILL)
            await heard(log, "child_restarted")

        answer = await session.prompt("two")

        assert answer.content == "[two]"
        assert not processes_of(session) & before


async def test_one_that_is_killed_again_and_again_ends_its_session_by_the_supervisors_rule() -> None:
    async with a_house() as client:
        session = await with_agent(client, "exec:die", config={"max_restarts": 2})
        for event in ("child_restarted", "child_restarted", "session_failed"):
            async with listening_to(client, session.id) as log:
                with pytest.raises(TurnFailed):
                    await session.prompt("question")
                await heard(log, event)

        with pytest.raises(SessionFailed):
            await session.prompt("question")


@pytest.mark.parametrize(("model", "question"), HANGING)
async def test_a_turn_that_is_cancelled_leaves_no_process_at_work(model: str, question: str) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)
        async with session.stream(question) as chunks:
            [pid] = await pids_in(chunks)

        following = await session.prompt("one") if model != "exec:hang" else None

        if following is None:
            await none_left(session)
        else:
            # It stopped when it was asked to, and is the same.
            assert following.content == "[one]"
            assert pid in processes_of(session)
        assert await restarts(session) == {"context_manager": 0, "orchestrator": 0, "agent": 0}


@pytest.mark.parametrize(("model", "question"), STUBBORN)
async def test_at_the_deadline_one_that_does_not_end_is_killed_after_the_grace(model: str, question: str) -> None:
    world = VirtualWorld()
    async with a_house(world=world, agent_grace=2) as client, anyio.create_task_group() as tasks:
        session = await with_agent(client, model)
        turn = Turn()
        async with listening_to(client, session.id) as log:
            tasks.start_soon(lambda: turn.ask(session, question, timeout=10))
            pid = int((await heard(log, "output_received")).data["text"])
            await world.advance(10)
            is_there_at_first = pid in processes_of(session)
            await world.advance(2)
            # One that speaks has the grace to stop answering, then the grace to end.
            await world.advance(2)

        await gone(pid)
        assert is_there_at_first
        assert type(turn.outcome).__name__ == "CallTimeout"


async def test_one_that_says_nothing_for_too_long_has_failed() -> None:
    world = VirtualWorld()
    async with a_house(world=world, agent_silence=600) as client, anyio.create_task_group() as tasks:
        session = await with_agent(client, "exec:silent")
        turn = Turn()
        tasks.start_soon(turn.ask, session)
        await anyio.wait_all_tasks_blocked()
        await world.advance(600)
        await gone(*processes_of(session))
        tasks.start_soon(world.advance, 0)

    assert turn.outcome.reason == "agent_silent"


async def test_one_that_never_greets_has_not_started() -> None:
    async with a_house(agent_start=0.5) as client:
        session = await with_agent(client, "acp:acp-never")

        with pytest.raises(TurnFailed) as failed:
            await session.prompt("question")

        assert failed.value.reason == "agent_not_started"
        assert not processes_of(session)


@pytest.mark.parametrize(("model", "question"), HANGING)
async def test_an_orchestrator_that_is_killed_takes_its_turn_with_it_and_not_the_agent(
    model: str, question: str
) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)
        async with listening_to(client, session.id) as log:
            with pytest.raises(TurnFailed):
                async with session.stream(question) as chunks:
                    [pid] = await pids_in(chunks)
                    (await session.get_llm_agent_ref()).kill()
                    async for _ in chunks:
                        pass
            await heard(log, "child_restarted")

        if model == "exec:hang":
            await gone(pid)
        else:
            assert (await session.prompt("one")).content == "[one]"
        assert await restarts(session) == {"context_manager": 0, "orchestrator": 1, "agent": 0}
        await is_well_formed(client, session)


@pytest.mark.parametrize(("model", "question"), [*HANGING, *STUBBORN])
@pytest.mark.parametrize("how", ["suspend", "terminate", "kill the supervisor", "kill the agent's actor"])
async def test_no_process_outlives_its_session(model: str, question: str, how: str) -> None:
    async with a_house() as client, anyio.create_task_group() as tasks:
        session = await with_agent(client, model)
        turn = Turn()
        async with listening_to(client, session.id) as log:
            tasks.start_soon(turn.ask, session, question)
            await heard(log, "output_received")
            before = processes_of(session)
            await _end(client, session, how)

        if "kill" in how:
            await gone(*before)
        assert len(before) >= 2
        assert not processes_of(session) & before


async def _end(client: Any, session: Any, how: str) -> None:
    match how:
        case "suspend":
            await session.cancel_turn()
            assert (await session.suspend()).status is SessionStatus.SUSPENDED
        case "terminate":
            await session.terminate()
        case "kill the supervisor":
            (await session.get_ref()).kill()
        case _:
            client.house.registry.child(session.id, "agent").kill()


@pytest.mark.parametrize(("model", "question"), [*HANGING, *STUBBORN])
async def test_no_process_outlives_the_client(model: str, question: str) -> None:
    async with anyio.create_task_group() as tasks, a_house() as client:
        session = await with_agent(client, model)
        turn = Turn()
        async with listening_to(client, session.id) as log:
            tasks.start_soon(turn.ask, session, question)
            await heard(log, "output_received")
        assert processes_of(session)
    assert not processes_of(session)


@pytest.mark.parametrize(("model", "question"), HANGING)
async def test_a_turn_that_closing_interrupts_is_run_again_if_it_is_to_be(
    tmp_path: Path, model: str, question: str
) -> None:
    store = f"sqlite:///{tmp_path}/x.db"
    prompt = {"idempotency_key": "my-key-1"}
    async with anyio.create_task_group() as tasks, Client(store, settings=Settings(agents=AGENTS)) as client:
        session = await with_agent(client, model, config={"interrupted_turn": "resume"})
        async with listening_to(client, session.id) as log:
            tasks.start_soon(ignoring_errors, partial(session.prompt, question, **prompt))
            await heard(log, "output_received")

    others = {"hang": AGENTS["upper"], "lines": AGENTS["upper"], "acp": AGENTS["echo"]}
    async with Client(store, settings=Settings(agents=others)) as client:
        answer = await client.session(session.id).prompt(question, **prompt)

    assert answer.content.strip("[]") == (question if model == "acp:acp" else question.upper())
    assert not processes_of(session)


@pytest.mark.parametrize("model", ["exec:family", "exec:leaves"])
async def test_grandchildren_end_too_also_those_that_left_the_group(model: str) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)
        async with session.stream("question") as chunks:
            pids = await pids_in(chunks)
            if model == "exec:leaves":
                async for _ in chunks:
                    pass

        await gone(*pids)
        assert len(pids) == 3
        await none_left(session)


@pytest.mark.parametrize(
    ("model", "question"), [("exec:flood", "question"), ("exec:lines", "flood"), ("exec:lines", "chatter")]
)
async def test_one_that_floods_is_stopped_at_the_bound(model: str, question: str) -> None:
    async with a_house(agent_answer=100_000) as client:
        session = await with_agent(client, model)

        with pytest.raises(TurnFailed) as failed:
            await session.prompt(question)

        assert failed.value.reason == "agent_too_large"
        await none_left(session)


async def test_a_line_that_does_not_end_is_not_kept() -> None:
    async with a_house() as client:
        session = await with_agent(client, "exec:lines")

        with pytest.raises(TurnFailed) as failed:
            await session.prompt("long")

        assert failed.value.reason == "agent_too_large"
        assert (await session.prompt("one")).content == "[one]"


async def test_garbage_is_text_where_text_is_meant_and_a_failure_where_it_is_not() -> None:
    async with a_house() as client:
        plain, lines = await with_agent(client, "exec:garbage"), await with_agent(client, "exec:lines")

        answer = await plain.prompt("question")
        with pytest.raises(TurnFailed) as failed:
            await lines.prompt("garbage")

        assert answer.content.startswith("good \ufffd")
        assert (failed.value.reason, (await lines.prompt("one")).content) == ("agent_garbled", "[one]")


@pytest.mark.parametrize("model", ["exec:lines-exit", "acp:acp-exit", "exec:missing", "exec:fail"])
async def test_one_that_cannot_work_fails_its_turns_and_is_no_crash(model: str) -> None:
    async with a_house() as client:
        session = await with_agent(client, model)
        failures: list[str | None] = []
        for _ in range(2):
            with pytest.raises(TurnFailed) as failed:
                await session.prompt("question")
            failures.append(failed.value.reason)

        assert set(failures) <= {"agent_ended", "agent_not_started", "agent_failed"}
        assert not processes_of(session)
        if model != "exec:lines-exit":
            assert (await restarts(session))["agent"] == 0


async def test_a_command_must_say_something_and_need_not_listen() -> None:
    async with a_house() as client:
        silent, deaf = await with_agent(client, "exec:exit"), await with_agent(client, "exec:deaf")

        with pytest.raises(TurnFailed, match="it said nothing"):
            await silent.prompt("question")
        assert (await deaf.prompt("question " * 100_000)).content == "did not listen"


async def test_a_failure_says_how_it_ended_and_its_last_words_without_its_key() -> None:
    async with a_house() as client:
        session = await with_agent(client, "exec:fail")

        with pytest.raises(TurnFailed) as failed:
            await session.prompt("question")

        assert failed.value.reason == "agent_failed"
        assert "exit status 3: no luck, my key is [key]" in failed.value.error
        entries = await client.house.store.read(session.id)
        assert all("canary" not in repr(entry) for entry in entries)


async def test_an_agent_has_only_the_variables_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEBODYS_API_KEY", "secret")
    async with a_house() as client:
        session = await with_agent(client, "exec:environment")

        answer = (await session.prompt("question")).content.splitlines()

        assert "SOMEBODYS_API_KEY=secret" not in answer
        assert "MY_KEY=sk-canary-123" in answer
        assert f"JIDOKA_AGENT_SESSION={session.id}" in answer


async def test_which_commands_there_are_is_for_the_server_to_say() -> None:
    async with a_house() as client:
        with pytest.raises(ModelNotFound, match="lets no session name a command") as refused:
            await with_agent(client, "exec:rm -rf /")
        assert "exec:upper" in str(refused.value)
        with pytest.raises(InvalidMessage, match="cwd"):
            await client.create_session(llm_config={"model": "exec:upper", "cwd": "/"})
        with pytest.raises(InvalidMessage, match="tools"):
            await client.create_session(llm_config={"model": "exec:upper", "tools": ["look"]})
    async with a_house(allow_agent_commands=True) as client:
        session = await with_agent(client, "exec:tr a-z 'A-Z'")
        assert (await session.prompt("free")).content == "FREE"
        with pytest.raises(ModelNotFound):
            await with_agent(client, "exec:tr 'a")
