"""What is killed comes back as it was, and only what was killed is touched."""

import anyio
import anyio.lowlevel
import pytest

from jidoka.actors.specs import ChildInfo
from jidoka.client import Client
from jidoka.testing.faults import kill_child
from tests.stories.crashing import KILLS, everything_in, furnished, urns
from tests.stories.kit import journal, said, types_of


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
    ("victim", "told"),
    [("context_manager", "context_manager"), ("orchestrator", "orchestrator"), ("supervisor", "supervisor")],
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
