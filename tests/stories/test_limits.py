"""Limits hold, and a session that is stuck holds nobody else up."""

from functools import partial
from typing import Any

import anyio
import pytest

from jidoka.actors.errors import CallTimeout, MailboxFull
from jidoka.client import Client
from jidoka.core.errors import (
    InvalidMessage,
    JidokaError,
    SessionLimitReached,
    StoreUnavailable,
)
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.faults import kill_child
from jidoka.testing.models import ScriptedModel
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, all_of, moves, said


async def test_one_session_more_than_the_limit_is_refused_with_the_figures() -> None:
    async with a_client(max_sessions=3) as client:
        for _ in range(3):
            await client.create_session()

        with pytest.raises(SessionLimitReached) as caught:
            await client.create_session()

        assert (caught.value.running, caught.value.max_sessions) == (3, 3)
        assert len(await client.list_sessions()) == 3


async def test_of_many_creates_at_once_as_many_succeed_as_there_is_room_for() -> None:
    async with a_client(max_sessions=5) as client:
        outcomes = await all_of([client.create_session] * 20)

        assert sum(isinstance(outcome, Session) for outcome in outcomes) == 5
        assert {type(outcome) for outcome in outcomes} == {Session, SessionLimitReached}


async def _fail(session: Session) -> None:
    await kill_child(session, "context_manager")
    await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("ending", ["terminate", "suspend", "purge", "fail"])
async def test_a_session_that_ends_or_rests_makes_room(ending: str) -> None:
    async with a_client(max_sessions=1) as client:
        session = await client.create_session(config={"max_restarts": 0})
        with pytest.raises(SessionLimitReached):
            await client.create_session()

        acts: dict[str, Any] = {"purge": partial(session.terminate, purge=True), "fail": partial(_fail, session)}
        await acts.get(ending, getattr(session, ending, None))()

        await client.create_session()


@pytest.mark.parametrize("act", ["resume", "get_history"])
async def test_a_suspended_session_has_no_place_kept_for_it(act: str) -> None:
    async with a_client(max_sessions=1) as client:
        resting = await client.create_session()
        await resting.suspend()
        other = await client.create_session()

        with pytest.raises(SessionLimitReached):
            await getattr(resting, act)()

        assert (await resting.info()).status is SessionStatus.SUSPENDED
        await other.terminate()
        await getattr(resting, act)()


async def test_forks_and_imports_count_too() -> None:
    async with a_client(max_sessions=1) as client:
        session = await client.create_session()

        for call in (session.fork, partial(client.import_session, await session.export())):
            with pytest.raises(SessionLimitReached):
                await call()

        assert len(await client.list_sessions()) == 1


async def test_a_session_that_could_not_be_stored_leaves_its_place_free() -> None:
    class FullStore(HeldStore):
        is_full = True

        async def append(self, *args: Any, **more: Any) -> Any:
            if self.is_full:
                raise StoreUnavailable("the disk is away")
            return await super().append(*args, **more)

    store = FullStore()
    async with a_client(store, max_sessions=1) as client:
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await client.create_session(session_id="the_same_id")
        assert await client.list_sessions() == []

        store.is_full = False
        session = await client.create_session(session_id="the_same_id")
        assert (await session.info()).status is SessionStatus.ACTIVE


# --- stuck sessions ---------------------------------------------------------------------------------------------------


async def others_work(client: Client) -> None:
    """A whole life of another session, at once."""
    with anyio.fail_after(2):
        session = await client.create_session()
        await session.send_message("user", "hello")
        assert (await session.prompt("echo this")).content == "echo this"
        await session.suspend()
        assert len(await session.get_history()) == 3
        assert (await client.list_sessions())[0].session_id
        await session.terminate(purge=True)


async def test_a_session_that_is_slow_to_start_delays_nobody() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        hold = store.hold("slow_to_start")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(client.create_session, session_id="slow_to_start"))
            await hold.reached.wait()

            await others_work(client)

            hold.released.set()
        assert (await client.get_session_info("slow_to_start")).status is SessionStatus.ACTIVE


async def test_a_session_whose_write_hangs_delays_nobody() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(session.send_message, "user", "slow"))
            await hold.reached.wait()

            await others_work(client)

            hold.released.set()
        assert await said(session) == [("user", "slow")]


async def test_a_call_to_a_session_that_hangs_times_out_on_the_clock_that_was_handed_in(world: VirtualWorld) -> None:
    store = HeldStore()
    async with a_client(store, world=world, call_timeout=3.0) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                outcomes.extend(await all_of([partial(session.send_message, "user", "slow", idempotency_key="k")]))

            tasks.start_soon(send)
            await hold.reached.wait()
            await world.advance(2.9)
            assert not outcomes
            await world.advance(0.2)
            assert isinstance(outcomes[0], CallTimeout)
            assert isinstance(outcomes[0], TimeoutError)
            hold.released.set()

        # Whether it took effect was unknown: with its key it is told, and not repeated.
        await session.send_message("user", "slow", idempotency_key="k")
        assert await said(session) == [("user", "slow")]


async def test_a_session_that_is_stuck_when_it_is_terminated_is_given_its_time_and_then_ended(
    world: VirtualWorld,
) -> None:
    store = HeldStore()
    async with a_client(store, world=world) as client:
        session = await client.create_session(config={"shutdown": 2.0})
        hold = store.hold(session.id)
        async with anyio.create_task_group() as tasks:
            sending = anyio.CancelScope()

            async def send() -> None:
                with sending:
                    await all_of([partial(session.send_message, "user", "stuck")])

            tasks.start_soon(send)
            await hold.reached.wait()
            tasks.start_soon(session.terminate)
            await others_work(client)

            # The call that asks it to end, then its shutdown.
            await world.advance(5.1)
            await world.advance(2.1)
            assert (await session.info()).status is SessionStatus.TERMINATED
            hold.released.set()
            sending.cancel()

        assert (await moves(client, session))[-2:] == ["terminating", "terminated"]
        # What was stuck has been fenced: it comes too late.
        assert [e.type for e in await store.read(session.id) if e.type == "conversation_added"] == []


async def test_a_model_that_hangs_delays_neither_others_nor_the_end_of_its_own_session() -> None:
    model = ScriptedModel([anyio.Event()])
    async with a_client(models={"stuck": model}) as client:
        session = await client.create_session(llm_config={"model": "stuck"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(all_of, [partial(session.prompt, "hello")])
            await model.started.wait()

            await others_work(client)
            with anyio.fail_after(2):
                await session.send_message("user", "meanwhile")
                assert await said(session) == [("user", "meanwhile")]
                await session.terminate()


async def test_a_suspension_that_hangs_delays_nobody() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.suspend)
            await hold.reached.wait()

            await others_work(client)

            hold.released.set()
        assert (await session.info()).status is SessionStatus.SUSPENDED


# --- what can grow is bounded -----------------------------------------------------------------------------------------


async def test_a_mailbox_that_is_full_refuses_and_keeps_what_it_has() -> None:
    store = HeldStore()
    async with a_client(store, mailbox=5) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def flood() -> None:
                outcomes.extend(await all_of([partial(session.send_message, "user", f"{n}") for n in range(20)]))

            tasks.start_soon(flood)
            await hold.reached.wait()
            await anyio.wait_all_tasks_blocked()
            hold.released.set()

        kept = [outcome.content for outcome in outcomes if not isinstance(outcome, JidokaError)]
        assert {type(outcome) for outcome in outcomes if isinstance(outcome, JidokaError)} == {MailboxFull}
        assert 5 <= len(kept) <= 6
        assert sorted(content for _, content in await said(session)) == sorted(kept)


@pytest.mark.parametrize(("size", "refused"), [(10_000_000, False), (10_000_001, True)])
async def test_a_message_has_a_size_that_is_said(client: Client, size: int, refused: bool) -> None:
    session = await client.create_session()

    if refused:
        with pytest.raises(InvalidMessage, match="10000000"):
            await session.send_message("user", "x" * size)
    else:
        assert len((await session.send_message("user", "x" * size)).content) == size
