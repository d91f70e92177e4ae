"""What is killed comes back as it was, and only what was killed is touched."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.specs import ChildInfo
from jidoka.client import Client
from jidoka.core.errors import SessionExists, SessionFailed, StoreUnavailable
from jidoka.core.status import SessionStatus
from jidoka.session import Session
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client, all_of, journal, moves, said, types_of

Kill = Callable[[Client, Session], Awaitable[Any]]

KILLS: dict[str, Kill] = {
    "context_manager": lambda _, session: kill_child(session, "context_manager"),
    "orchestrator": lambda _, session: kill_child(session, "orchestrator"),
    "supervisor": lambda _, session: kill_supervisor(session),
    "manager": lambda client, _: kill_manager(client),
}


async def furnished(client: Client) -> Session:
    """A session that has something of everything."""
    session = await client.create_session(owner="ada", metadata={"project": "apollo"})
    await session.send_message("user", "hello", metadata={"a": 1})
    await session.prompt("echo this")
    await session.add_file("a.py")
    await session.add_file("b.py")
    await session.update_file_index("a.py", {"lines": 10})
    await session.put_context("plan", {"steps": [1, 2]})
    await session.update(metadata={"more": True})
    return session


async def everything_in(session: Session) -> dict[str, Any]:
    """All that a session can be asked for; not when, or by whom it is answered."""
    context = await session.build_context()
    info = await session.info()
    return {
        "history": await session.get_history(),
        "files": await session.get_active_files(),
        "file_index": await session.get_file_index(),
        "working_context": {key: await session.get_context(key) for key in await session.context_keys()},
        "conversation": context.conversation,
        "stats": await session.context_stats(),
        "info": (info.version, info.owner, info.metadata, info.status, info.message_count, info.created_at),
    }


async def urns(session: Session) -> dict[str, str]:
    """The identities of a session's actors."""
    children = {child.id: child.ref.actor_urn for child in await session.which_children()}
    return {"": (await session.get_ref()).actor_urn, **children}


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("victim", KILLS)
async def test_a_session_has_everything_after_a_kill_that_it_had_before(
    client: Client, victim: str, times: int
) -> None:
    session, other = await furnished(client), await furnished(client)
    before, other_before = await everything_in(session), await everything_in(other)
    other_urns, other_types = await urns(other), await types_of(client, other)

    for _ in range(times):
        await KILLS[victim](client, session)

    assert await everything_in(session) == before
    assert await everything_in(other) == other_before
    assert (await urns(other), await types_of(client, other)) == (other_urns, other_types)


@pytest.mark.parametrize("victim", KILLS)
async def test_a_session_works_on_after_a_kill(client: Client, victim: str) -> None:
    session = await furnished(client)

    await KILLS[victim](client, session)

    message = await session.send_message("user", "still there?")
    assert (await session.prompt("echo that")).content == "echo that"
    assert message in await session.get_history()
    await journal(client, session)
    assert (await client.create_session()).id != session.id
    await session.terminate()


@pytest.mark.parametrize(
    ("victim", "replaced"),
    [
        ("context_manager", {"context_manager"}),
        ("orchestrator", {"orchestrator"}),
        ("supervisor", {"", "context_manager", "orchestrator"}),
        ("manager", set[str]()),
    ],
)
async def test_only_what_was_killed_has_a_new_identity(client: Client, victim: str, replaced: set[str]) -> None:
    session = await client.create_session()
    before = await urns(session)

    await KILLS[victim](client, session)
    await session.get_history()

    after = await urns(session)
    assert {name for name in before if after[name] != before[name]} == replaced


@pytest.mark.parametrize("victim", ["context_manager", "orchestrator"])
async def test_a_ref_outlives_the_actor_that_answers_there(client: Client, victim: str) -> None:
    session = await client.create_session()
    refs = {child.id: child.ref for child in await session.which_children()}

    await kill_child(session, victim)
    await session.get_history()

    assert refs[victim].is_alive()


@pytest.mark.parametrize(
    ("victim", "told"), [("context_manager", "context_manager"), ("orchestrator", "orchestrator"), ("supervisor", "supervisor")]
)
async def test_a_restart_is_told_once(client: Client, victim: str, told: str) -> None:
    session = await client.create_session()
    async with session.subscribe(types=["child_restarted"]) as events:
        await KILLS[victim](client, session)

        with anyio.fail_after(5):
            event = await anext(events)
    assert event.data["child"] == told
    await anyio.wait_all_tasks_blocked()
    assert (await types_of(client, session)).count("child_restarted") == 1
    assert (await client.stats()).restarts == 1


async def test_one_child_that_is_killed_leaves_the_other_where_it_is(client: Client) -> None:
    session = await client.create_session()

    def restarts(children: list[ChildInfo]) -> dict[str, int]:
        return {child.id: child.restarts for child in children}

    await kill_child(session, "context_manager")
    await session.get_history()

    assert restarts(await session.which_children()) == {"context_manager": 1, "orchestrator": 0}


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_session_may_restart_its_children_together(client: Client, strategy: str) -> None:
    session = await client.create_session(config={"strategy": strategy})
    await session.send_message("user", "hello")

    await kill_child(session, "context_manager")

    assert await said(session) == [("user", "hello")]
    assert (await session.prompt("echo")).content == "echo"


# --- the manager ------------------------------------------------------------------------------------------------------


async def test_sessions_do_not_notice_that_their_manager_is_killed(client: Client) -> None:
    sessions = [await furnished(client) for _ in range(5)]
    before = [(await urns(session), await types_of(client, session)) for session in sessions]
    async with sessions[0].subscribe() as events:
        for _ in range(10):
            await kill_manager(client)

        assert [(await urns(session), await types_of(client, session)) for session in sessions] == before
        assert len(await client.list_sessions()) == 5
        await sessions[0].send_message("user", "heard")
        assert (await anext(events)).type == "conversation_added"


async def test_a_new_manager_finds_the_sessions_of_the_old_one(client: Client) -> None:
    session = await client.create_session(session_id="found_again")
    await kill_manager(client)

    with pytest.raises(SessionExists):
        await client.create_session(session_id="found_again")
    await session.suspend()
    assert (await session.resume()).status is SessionStatus.ACTIVE
    await session.terminate()
    assert await client.list_sessions() == []


@pytest.mark.parametrize("seed", range(10))
async def test_calls_that_meet_a_dying_manager_are_answered_as_if_nothing_had_happened(
    client: Client, seed: int
) -> None:
    chance = random.Random(seed)
    old = await all_of([client.create_session] * 10)

    async def later(call: Callable[[], Awaitable[Any]]) -> Any:
        for _ in range(chance.randrange(8)):
            await anyio.lowlevel.checkpoint()
        return await call()

    calls: list[Callable[[], Awaitable[Any]]] = [
        *[client.create_session] * 10,
        *[session.terminate for session in old[:5]],
        *[session.suspend for session in old[5:]],
        *[partial(kill_manager, client)] * 3,
    ]
    chance.shuffle(calls)
    outcomes = await all_of([partial(later, call) for call in calls])

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(await client.list_sessions(status="active")) == 10
    assert len(await client.list_sessions(status="suspended")) == 5


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_create_during_which_the_manager_dies_returns_when_the_session_is_active(when: str) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        hold = store.hold("half_created", when=when)
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def create() -> None:
                outcomes.extend(await all_of([partial(client.create_session, session_id="half_created")]))

            tasks.start_soon(create)
            await hold.reached.wait()
            await kill_manager(client)
            await anyio.wait_all_tasks_blocked()
            assert outcomes == []
            hold.released.set()

        assert isinstance(outcomes[0], Session)
        assert (await outcomes[0].info()).status is SessionStatus.ACTIVE
        assert await types_of(client, outcomes[0]) == ["session_created", "session_status"]


async def test_a_create_during_which_the_manager_dies_may_still_fail() -> None:
    class Failing(HeldStore):
        async def append(self, session_id: str, *args: Any, **more: Any) -> Any:
            await self._wait(session_id, "append", "before")
            raise StoreUnavailable("the disk is away")

    store = Failing()
    async with a_client(store) as client:
        hold = store.hold("half_created")
        outcomes: list[Any] = []
        async with anyio.create_task_group() as tasks:

            async def create() -> None:
                outcomes.extend(await all_of([partial(client.create_session, session_id="half_created")]))

            tasks.start_soon(create)
            await hold.reached.wait()
            await kill_manager(client)
            await anyio.wait_all_tasks_blocked()
            hold.released.set()

        assert isinstance(outcomes[0], StoreUnavailable)


@pytest.mark.parametrize("seed", range(10))
async def test_of_many_who_want_one_id_one_gets_it_though_the_manager_is_killed(client: Client, seed: int) -> None:
    chance = random.Random(seed)

    async def kill() -> None:
        for _ in range(chance.randrange(6)):
            await anyio.lowlevel.checkpoint()
        await kill_manager(client)

    creates = [partial(client.create_session, session_id="wanted_by_all", metadata={"by": n}) for n in range(10)]
    outcomes = await all_of([*creates, kill, kill])

    winners = [number for number, outcome in enumerate(outcomes[:10]) if isinstance(outcome, Session)]
    assert len(winners) == 1
    assert (await client.get_session_info("wanted_by_all")).metadata == {"by": winners[0]}


async def test_an_id_that_was_taken_stays_refused_though_the_manager_is_killed(client: Client) -> None:
    await client.create_session(session_id="taken_id_1", owner="ada")
    outcomes: list[Any] = []

    async def create() -> None:
        outcomes.extend(await all_of([partial(client.create_session, session_id="taken_id_1", owner="eve")]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await kill_manager(client)

    assert [type(outcome) for outcome in outcomes] == [SessionExists]


# --- a storm ----------------------------------------------------------------------------------------------------------


async def test_a_session_that_crashes_too_often_fails_once_and_alone(client: Client) -> None:
    session = await client.create_session(config={"max_restarts": 3, "within": 60})
    others = [await furnished(client) for _ in range(3)]
    before = [(await urns(other), await everything_in(other), await types_of(client, other)) for other in others]
    await session.send_message("user", "before the storm")

    async with listening_to(client) as log:
        for _ in range(4):
            assert (await session.info()).status is SessionStatus.ACTIVE
            await kill_child(session, "context_manager")
            await anyio.wait_all_tasks_blocked()
        failed = await log.next("session_failed")

    info = await session.info()
    assert (info.status, info.incarnation) == (SessionStatus.FAILED, 1)
    assert info.error
    assert info.error == failed.data["error"]
    assert log.types.count("session_failed") == 1
    assert "session_terminated" not in log.types
    assert before == [
        (await urns(other), await everything_in(other), await types_of(client, other)) for other in others
    ]
    assert session.id not in client.house.registry


async def test_a_storm_of_supervisors_fails_their_session_too(client: Client) -> None:
    session = await client.create_session(config={"max_restarts": 2})

    for _ in range(3):
        await kill_supervisor(session)
        await anyio.wait_all_tasks_blocked()

    assert (await moves(client, session))[-1] == "failed"
    assert (await types_of(client, session)).count("session_failed") == 1


async def test_crashes_that_lie_far_apart_are_no_storm(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 1, "within": 10})

    for _ in range(5):
        await kill_child(session, "context_manager")
        assert await session.get_history() == []
        await world.advance(11)

    assert (await session.info()).status is SessionStatus.ACTIVE


async def test_a_failed_session_says_so_and_why_until_it_is_resumed(client: Client, world: VirtualWorld) -> None:
    session = await furnished(client)
    await session.terminate(purge=True)
    session = await client.create_session(config={"max_restarts": 0})
    await session.send_message("user", "before")
    await kill_child(session, "context_manager")
    await world.advance(0)

    with pytest.raises(SessionFailed) as caught:
        await session.send_message("user", "refused")
    assert caught.value.error == (await session.info()).error

    info = await session.resume()
    assert (info.status, info.incarnation, info.error) == (SessionStatus.ACTIVE, 2, None)
    assert await said(session) == [("user", "before")]
    await session.send_message("user", "after")
    assert (await types_of(client, session)).count("session_resumed") == 1


async def test_each_life_after_a_failure_is_one_incarnation_more(client: Client, world: VirtualWorld) -> None:
    session = await client.create_session(config={"max_restarts": 0})

    for incarnation in (2, 3, 4):
        await kill_child(session, "orchestrator")
        await world.advance(0)
        assert (await session.info()).status is SessionStatus.FAILED
        assert (await session.resume()).incarnation == incarnation


async def test_many_who_resume_a_failed_session_at_once_make_one_incarnation(
    client: Client, world: VirtualWorld
) -> None:
    session = await client.create_session(config={"max_restarts": 0})
    await kill_child(session, "context_manager")
    await world.advance(0)

    outcomes = await all_of([session.resume] * 10)

    assert {info.incarnation for info in outcomes} == {2}


# --- answers that a kill has swallowed --------------------------------------------------------------------------------

Write = Callable[[Session], Awaitable[Any]]

WRITES: dict[str, Write] = {
    "send_message": lambda s: s.send_message("user", "hello"),
    "clear_history": lambda s: s.clear_history(),
    "update": lambda s: s.update(metadata={"a": 1}),
    "update at a version": lambda s: s.update(metadata={"a": 1}, expected_version=1),
    "add_file": lambda s: s.add_file("a.py"),
    "remove_file": lambda s: s.remove_file("kept.py"),
    "update_file_index": lambda s: s.update_file_index("a.py", {"lines": 1}),
    "put_context": lambda s: s.put_context("new", 1),
    "delete_context": lambda s: s.delete_context("kept"),
    "halt": lambda s: s.halt(reason="look"),
    "prompt": lambda s: s.prompt("echo"),
}
DECISIONS: dict[str, Write] = {
    "approve": lambda s: s.approve(decision="approve", note="fine", by="ada"),
    "reject": lambda s: s.approve(decision="reject"),
    "send_input": lambda s: s.send_input("go on"),
    "resume": lambda s: s.resume(),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", [*WRITES, *DECISIONS])
@pytest.mark.parametrize("victim", ["context_manager", "supervisor"])
async def test_a_write_that_was_being_committed_when_its_writer_was_killed_takes_effect_once(
    name: str, when: str, victim: str
) -> None:
    async def played(is_killed: bool) -> tuple[list[Any], list[str], list[Any]]:
        store = HeldStore()
        async with a_client(store) as client:
            session = await client.create_session()
            await session.add_file("kept.py")
            await session.put_context("kept", 1)
            if name in DECISIONS:
                await session.halt(reason="look")
            before = len(await store.read(session.id))
            outcomes: list[Any] = []

            async def write() -> None:
                outcomes.extend(await all_of([partial({**WRITES, **DECISIONS}[name], session)]))

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    hold = store.hold(session.id, when=when) if is_killed else None
                    tasks.start_soon(write)
                    if hold is not None:
                        await hold.reached.wait()
                        await KILLS[victim](client, session)
                        hold.released.set()

            types = (await types_of(client, session))[before:]
            content = [(await session.build_context()).model_dump(exclude={"session_id", "metadata"})]
            return outcomes, [type for type in types if type != "child_restarted"], content

    expected, types, _ = await played(is_killed=False)
    outcomes, types_after_a_kill, _ = await played(is_killed=True)
    if name == "prompt" and victim == "supervisor":
        # The orchestrator went as well: this turn is over, and says so.
        assert types_after_a_kill.count("turn_failed") <= 1
        assert types_after_a_kill.count("turn_completed") == 0
        return
    assert [type(outcome) for outcome in outcomes] == [type(outcome) for outcome in expected], outcomes
    assert types_after_a_kill == types


@pytest.mark.parametrize("seed", range(20))
async def test_messages_sent_while_actors_are_killed_arrive_once_each_and_in_order(client: Client, seed: int) -> None:
    chance = random.Random(seed)
    sessions = [await client.create_session(config={"max_restarts": 1000}) for _ in range(3)]
    sent: dict[str, list[str]] = {session.id: [] for session in sessions}

    async def talk(session: Session) -> None:
        for number in range(20):
            content = f"{session.id} {number}"
            message = await session.send_message("user", content)
            assert message.content == content
            sent[session.id].append(content)

    async def rage() -> None:
        for _ in range(30):
            for _ in range(chance.randrange(6)):
                await anyio.lowlevel.checkpoint()
            await KILLS[chance.choice(list(KILLS))](client, chance.choice(sessions))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rage)
            for session in sessions:
                tasks.start_soon(talk, session)

    for session in sessions:
        assert [content for _, content in await said(session)] == sent[session.id]
        await journal(client, session)


@pytest.mark.parametrize("seed", range(10))
async def test_a_writer_that_is_fenced_can_write_nothing_more(seed: int) -> None:
    chance = random.Random(seed)
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session(config={"max_restarts": 1000})
        for number in range(8):
            hold = store.hold(session.id, when=chance.choice(["before", "after"]))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(session.send_message, "user", f"{number}"))
                await hold.reached.wait()
                await kill_child(session, "context_manager")
                hold.released.set()

        assert await said(session) == [("user", f"{number}") for number in range(8)]
        await journal(client, session)


# --- a rest that was half begun ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["get_history", "prompt", "suspend", "terminate", "resume"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_suspension_during_which_the_manager_dies_is_finished_or_undone(when: str, use: str) -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id, when=when)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.suspend)
            await hold.reached.wait()
            tasks.cancel_scope.cancel()
        await kill_manager(client)
        hold.released.set()
        await anyio.wait_all_tasks_blocked()

        acts: dict[str, Any] = {"prompt": partial(session.prompt, "echo")}
        with anyio.fail_after(2):
            await acts.get(use, getattr(session, use))()
        expected = {"suspend": SessionStatus.SUSPENDED, "terminate": SessionStatus.TERMINATED}
        assert (await session.info()).status == expected.get(use, SessionStatus.ACTIVE)


async def test_a_suspension_that_nobody_waits_for_any_more_frees_the_memory() -> None:
    store = HeldStore()
    async with a_client(store) as client:
        session = await client.create_session()
        hold = store.hold(session.id, when="after")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.suspend)
            await hold.reached.wait()
            await kill_manager(client)
            hold.released.set()

        assert (await session.info()).status is SessionStatus.SUSPENDED
        assert session.id not in client.house.registry


async def test_a_suspension_that_took_too_long_does_not_lock_the_session(world: VirtualWorld) -> None:
    store = HeldStore()
    async with a_client(store, world=world, call_timeout=1.0) as client:
        session = await client.create_session()
        hold = store.hold(session.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(all_of, [session.suspend])
            await hold.reached.wait()
            await world.advance(1.1)
            hold.released.set()
            await anyio.wait_all_tasks_blocked()

        with anyio.fail_after(2):
            assert await said(session) == []
