"""A turn that does not complete is not there at all, and it is over whatever happens."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import CallTimeout
from jidoka.client import Client
from jidoka.core.chunks import LLMConfig
from jidoka.core.errors import (
    InvalidMessage,
    JidokaError,
    ModelNotFound,
    SessionNotFound,
    TurnCancelled,
    TurnFailed,
    TurnInProgress,
)
from jidoka.core.messages import Context
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, all_of, said, types_of
from tests.stories.turning import Turn, a_session, is_well_formed, slow


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
        _yields,
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


@pytest.mark.parametrize(
    "kill", [lambda s: kill_child(s, "orchestrator"), kill_supervisor], ids=["orchestrator", "tree"]
)
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
