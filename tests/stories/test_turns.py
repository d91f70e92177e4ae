"""A turn of the model is there as a whole or not at all, and it is over whatever happens."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import CallTimeout
from jidoka.client import Client
from jidoka.core.chunks import Chunk, LLMConfig, Usage
from jidoka.core.errors import (
    IdempotencyConflict,
    InvalidMessage,
    JidokaError,
    ModelNotFound,
    SessionNotFound,
    TurnCancelled,
    TurnFailed,
    TurnInProgress,
)
from jidoka.core.messages import Context, Message
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, all_of, said, take, types_of, waiting_now


class Turn:
    """A prompt that is under way."""

    def __init__(self) -> None:
        self.outcome: Any = None

    async def ask(self, session: Session, content: str = "question", **options: Any) -> None:
        [self.outcome] = await all_of([partial(session.prompt, content, **options)])


def slow(*rest: Any) -> ScriptedModel:
    """A model that says something, then waits for ever, or for what is given."""
    return ScriptedModel(["half ", *(rest or (anyio.Event(),))])


async def a_session(client: Client, **options: Any) -> Session:
    return await client.create_session(llm_config={"model": "model"}, **options)


async def is_well_formed(client: Client, session: Session) -> None:
    """No turn is open, and whoever asked in vain has left no trace in the history."""
    head = await client.house.store.head(session.id)
    assert head is not None
    assert head.turn is None
    history = await session.get_history()
    turns = [message.metadata["turn_id"] for message in history if "turn_id" in message.metadata]
    assert turns[::2] == turns[1::2]
    assert len(set(turns[::2])) == len(turns[::2])


# --- that complete ----------------------------------------------------------------------------------------------------


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


# --- that do not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such luck"),
        RuntimeError(""),
        KeyError("key"),
        TimeoutError(),
        TurnInProgress("another_session"),
        TurnCancelled(),
        SessionNotFound("another_session"),
        InvalidMessage("from inside"),
        CallTimeout("from inside"),
        ModelNotFound("other"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("pieces", [0, 2])
async def test_a_model_that_raises_fails_its_turn_and_nothing_else(error: Exception, pieces: int) -> None:
    model = ScriptedModel([*["piece "] * pieces, error], ["fine"])
    async with a_client(models={"model": model}) as client:
        session = await a_session(client)
        await session.send_message("user", "before")

        with pytest.raises(TurnFailed) as caught:
            await session.prompt("question")

        assert caught.value.session_id == session.id
        assert caught.value.turn_id
        assert caught.value.__cause__ is error
        assert await said(session) == [("user", "before")]
        entry = (await client.house.store.read(session.id))[-1]
        assert (entry.type, entry.data["turn_id"]) == ("turn_failed", caught.value.turn_id)
        assert isinstance(entry.data["error"], str)
        assert (await session.prompt("again")).content == "fine"
        await is_well_formed(client, session)


class Odd:
    """A model that is none."""

    def __init__(self, respond: Callable[..., Any]) -> None:
        self._respond = respond

    def respond(self, context: Context, config: LLMConfig) -> Any:
        return self._respond()


async def _yields(*pieces: Any) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize(
    "respond",
    [
        lambda: None,
        lambda: ["a", "list"],
        lambda: _yields(),
        lambda: _yields(""),
        lambda: _yields(7),
        lambda: _yields(None),
        lambda: _yields("half a character: \ud800"),
        lambda: _yields("nothing: \0"),
        lambda: 1 / 0,
    ],
)
async def test_a_model_that_says_nothing_sound_fails_its_turn(respond: Callable[..., Any]) -> None:
    async with a_client(models={"model": Odd(respond)}) as client:
        session = await a_session(client)

        with pytest.raises(TurnFailed):
            await session.prompt("question")

        assert await said(session) == []
        await is_well_formed(client, session)


async def test_a_session_has_one_turn_at_a_time() -> None:
    go_on = anyio.Event()
    model = slow(go_on)
    async with a_client(models={"model": model}) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.ask, session)
            await model.started.wait()
            with pytest.raises(TurnInProgress):
                await session.prompt("too early")
            with pytest.raises(TurnInProgress):
                async with session.stream("too early"):
                    pass
            with pytest.raises(TurnInProgress):
                await session.suspend()
            go_on.set()

        assert turn.outcome.content == "half "
        assert (await types_of(client, session)).count("turn_started") == 1


async def test_a_turn_that_is_cancelled_says_so_and_leaves_no_trace() -> None:
    model = slow()
    async with a_client(models={"model": model}) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.ask, session)
            await model.started.wait()
            assert await session.cancel_turn() is True

        assert isinstance(turn.outcome, TurnCancelled)
        assert await said(session) == []
        assert (await types_of(client, session))[-1] == "turn_cancelled"
        assert await session.cancel_turn() is False
        await is_well_formed(client, session)


async def test_a_turn_that_takes_too_long_is_ended_on_the_clock_that_was_handed_in(world: VirtualWorld) -> None:
    model = slow()
    async with a_client(models={"model": model}, world=world) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(turn.ask, session, timeout=60))
            await model.started.wait()
            await world.advance(59)
            assert turn.outcome is None
            await world.advance(2)

        assert isinstance(turn.outcome, CallTimeout)
        assert await said(session) == []
        assert (await types_of(client, session))[-1] == "turn_failed"
        await is_well_formed(client, session)


async def test_a_turn_that_is_in_time_leaves_no_timer(client: Client) -> None:
    session = await client.create_session()
    timers = len(client.house.system.timers)

    await session.prompt("hello", timeout=60)

    assert len(client.house.system.timers) == timers


async def test_no_time_at_all_is_not_enough(client: Client) -> None:
    session = await client.create_session()

    with pytest.raises(CallTimeout):
        await session.prompt("hello", timeout=0)

    assert await said(session) == []
    await is_well_formed(client, session)


# --- kills ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", [lambda s: kill_child(s, "orchestrator"), kill_supervisor], ids=["orchestrator", "tree"])
@pytest.mark.parametrize("how", ["prompt", "stream"])
async def test_a_turn_whose_orchestrator_is_killed_has_failed(kill: Callable[[Session], Any], how: str) -> None:
    model = ScriptedModel(["half ", anyio.Event()], ["whole"])
    async with a_client(models={"model": model}) as client:
        session, turn = await a_session(client), Turn()

        async def stream() -> None:
            async with session.stream("question") as pieces:
                [turn.outcome] = await all_of([pieces.text])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream if how == "stream" else partial(turn.ask, session))
            await model.started.wait()
            await kill(session)

        assert isinstance(turn.outcome, TurnFailed)
        types = await types_of(client, session)
        assert types.count("turn_failed") == 1
        assert await said(session) == []
        await is_well_formed(client, session)
        assert (await session.prompt("again")).content == "whole"


@pytest.mark.parametrize("times", [1, 3])
async def test_a_turn_whose_context_manager_is_killed_completes_once(times: int) -> None:
    go_on = anyio.Event()
    model = slow(go_on, "whole")
    async with a_client(models={"model": model}) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.ask, session)
            await model.started.wait()
            for _ in range(times):
                await kill_child(session, "context_manager")
            go_on.set()

        assert turn.outcome.content == "half whole"
        assert await said(session) == [("user", "question"), ("assistant", "half whole")]
        types = await types_of(client, session)
        assert (types.count("turn_completed"), types.count("turn_failed")) == (1, 0)
        await is_well_formed(client, session)


async def test_a_turn_does_not_notice_that_the_manager_is_killed() -> None:
    go_on = anyio.Event()
    model = slow(go_on, "whole")
    async with a_client(models={"model": model}) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.ask, session)
            await model.started.wait()
            await kill_manager(client)
            go_on.set()

        assert turn.outcome.content == "half whole"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("victim", ["context_manager", "orchestrator", "supervisor"])
@pytest.mark.parametrize("entry", ["start", "end"])
async def test_whatever_is_killed_while_a_turn_is_committed_it_is_there_as_a_whole_or_not_at_all(
    when: str, victim: str, entry: str
) -> None:
    store = HeldStore()
    go_on = anyio.Event()
    model = ScriptedModel(["whole", go_on]) if entry == "end" else ScriptedModel(["whole"])
    async with a_client(store, models={"model": model}) as client:
        session, turn = await a_session(client), Turn()
        async with anyio.create_task_group() as tasks:
            hold = store.hold(session.id, when=when) if entry == "start" else None
            tasks.start_soon(turn.ask, session)
            if hold is None:
                await model.started.wait()
                hold = store.hold(session.id, when=when)
                go_on.set()
            await hold.reached.wait()
            kill = kill_supervisor(session) if victim == "supervisor" else kill_child(session, victim)
            await kill
            hold.released.set()

        await anyio.wait_all_tasks_blocked()
        history = await said(session)
        assert history in ([], [("user", "question"), ("assistant", "whole")])
        if not isinstance(turn.outcome, JidokaError):
            assert history
        await is_well_formed(client, session)
        types = await types_of(client, session)
        over = [types.count(f"turn_{how}") for how in ("completed", "failed", "cancelled")]
        assert sum(over) == types.count("turn_started")


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
