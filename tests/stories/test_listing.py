"""Sessions can be found: by status, owner and metadata, page by page; and the house can be looked at."""

from typing import Any

import pytest

from jidoka.actors.ref import ActorRef
from jidoka.client import Client
from jidoka.core.errors import SessionTerminated, StoreUnavailable
from jidoka.core.status import SessionStatus
from jidoka.core.views import TreeNode
from jidoka.testing.faults import kill_child
from jidoka.testing.world import VirtualWorld
from tests.stories.kit import HeldStore, a_client


async def populated(client: Client, world: VirtualWorld) -> dict[str, str]:
    """One session of each status; their ids by name."""
    ids: dict[str, str] = {}
    for number, name in enumerate(["active", "halted", "suspended", "failed", "terminated", "idle"]):
        session = await client.create_session(
            owner="ada" if number % 2 else "eve",
            metadata={"name": name, "tags": {"even": not number % 2}},
            config={"max_restarts": 0, "idle_after": 10 if name == "idle" else 1000, "suspend_after": 1_000_000},
        )
        ids[name] = session.id
    await client.session(ids["halted"]).halt(reason="look")
    await client.session(ids["suspended"]).suspend()
    await client.session(ids["terminated"]).terminate()
    await kill_child(client.session(ids["failed"]), "context_manager")
    await world.advance(11)
    return ids


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["active", "halted", "suspended", "failed", "idle"]),
        ({"status": "active"}, ["active"]),
        ({"status": SessionStatus.WAITING_INPUT}, ["halted"]),
        ({"status": ["suspended", "failed"]}, ["suspended", "failed"]),
        ({"status": "terminated"}, ["terminated"]),
        ({"status": {"terminated", "idle"}}, ["terminated", "idle"]),
        ({"status": "terminating"}, []),
        ({"status": []}, []),
        ({"owner": "ada"}, ["halted", "failed", "idle"]),
        ({"owner": "eve"}, ["active", "suspended"]),
        ({"owner": "nobody"}, []),
        ({"owner": "ada", "status": "failed"}, ["failed"]),
        ({"owner": "eve", "status": "failed"}, []),
        ({"metadata": {"name": "idle"}}, ["idle"]),
        ({"metadata": {"name": "other"}}, []),
        ({"metadata": {"tags": {"even": True}}}, ["active", "suspended"]),
        ({"metadata": {"tags": {"even": 1}}}, []),
        ({"metadata": {"tags": {}}}, []),
        ({"metadata": {"name": "idle", "no such": None}}, []),
        ({"metadata": {"name": "idle"}, "owner": "eve"}, []),
        ({"metadata": {}}, ["active", "halted", "suspended", "failed", "idle"]),
        ({"limit": 2}, ["active", "halted"]),
    ],
    ids=str,
)
async def test_a_listing_has_what_was_asked_for_and_nothing_else(
    client: Client, world: VirtualWorld, filters: dict[str, Any], names: list[str]
) -> None:
    ids = await populated(client, world)

    page = await client.list_sessions(**filters)

    assert [info.session_id for info in page] == [ids[name] for name in names]
    for info in page:
        assert info == await client.get_session_info(info.session_id)


@pytest.mark.parametrize("size", [1, 3, 7, 10, 11, 1000])
async def test_pages_lead_through_everything_once_whatever_happens_meanwhile(client: Client, size: int) -> None:
    sessions = [await client.create_session() for _ in range(10)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await client.list_sessions(limit=size, cursor=cursor)
        assert len(page) <= size
        seen.extend(info.session_id for info in page)
        if len(seen) == size == 3:
            await sessions[0].terminate(purge=True)
            await sessions[9].terminate()
            await client.create_session(session_id="a_late_comer")
        cursor = page.next_cursor
        if cursor is None:
            break

    expected = [session.id for session in sessions]
    assert seen == ([*expected[:9], "a_late_comer"] if size == 3 else expected)


async def test_a_page_is_a_sequence(client: Client) -> None:
    sessions = [await client.create_session() for _ in range(3)]

    page = await client.list_sessions()

    assert (len(page), page.next_cursor) == (3, None)
    assert page[0].session_id == sessions[0].id
    assert [info.session_id for info in page[1:]] == [session.id for session in sessions[1:]]
    assert type(page).model_validate_json(page.model_dump_json()) == page


async def test_an_update_is_found_at_once(client: Client) -> None:
    session = await client.create_session(metadata={"a": 1})

    await session.update(metadata={"a": 2, "b": None})

    assert len(await client.list_sessions(metadata={"a": 2})) == 1
    assert await client.list_sessions(metadata={"a": 1}) == []


# --- the house --------------------------------------------------------------------------------------------------------


def find(node: TreeNode, id: str) -> TreeNode:
    found = [node for node in flat(node) if node.id == id]
    assert len(found) == 1
    return found[0]


def flat(node: TreeNode) -> list[TreeNode]:
    return [node, *(below for child in node.children for below in flat(child))]


async def test_the_tree_shows_every_actor_below_its_supervisor(client: Client) -> None:
    sessions = [await client.create_session() for _ in range(3)]

    tree = await client.supervision_tree()

    assert [child.id for child in tree.children] == ["sessions", "manager", "housekeeper"]
    root = find(tree, "sessions")
    assert [child.id for child in root.children] == [session.id for session in sessions]
    for session in sessions:
        node = find(tree, session.id)
        assert (node.type, node.state, node.restarts, node.session_id) == ("supervisor", "running", 0, session.id)
        assert node.ref == (await session.get_ref()).actor_urn
        assert [(child.id, child.type, child.session_id) for child in node.children] == [
            ("context_manager", "worker", session.id),
            ("orchestrator", "worker", session.id),
        ]
    assert len({node.ref for node in flat(tree)}) == len(flat(tree)) == (await client.stats()).actors
    assert TreeNode.model_validate_json(tree.model_dump_json()) == tree


async def test_the_tree_counts_restarts_and_forgets_who_has_ended(client: Client) -> None:
    session, ended, resting = [await client.create_session() for _ in range(3)]
    await kill_child(session, "context_manager")
    await session.get_history()
    await ended.terminate()
    await resting.suspend()

    root = find(await client.supervision_tree(), "sessions")

    assert [child.id for child in root.children] == [session.id]
    assert [child.restarts for child in root.children[0].children] == [1, 0]


async def test_the_children_of_a_session_are_told_in_start_order(client: Client) -> None:
    session = await client.create_session()

    children = await session.which_children()

    assert [(child.id, child.type, child.state, child.restarts, child.mailbox) for child in children] == [
        ("context_manager", "worker", "running", 0, 0),
        ("orchestrator", "worker", "running", 0, 0),
    ]
    assert (await session.get_llm_agent_ref()).actor_urn == children[1].ref.actor_urn


async def test_refs_are_live_and_die_with_their_session(client: Client) -> None:
    session = await client.create_session()
    refs: list[ActorRef[Any]] = [await session.get_ref(), await session.get_llm_agent_ref()]
    assert [ref.is_alive() for ref in refs] == [True, True]

    await session.terminate()

    assert [ref.is_alive() for ref in refs] == [False, False]
    for get in (session.get_ref, session.get_llm_agent_ref):
        with pytest.raises(SessionTerminated):
            await get()


@pytest.mark.parametrize("get", ["get_ref", "get_llm_agent_ref"])
async def test_asking_for_a_ref_resumes_a_suspended_session(client: Client, get: str) -> None:
    session = await client.create_session()
    await session.suspend()

    assert (await getattr(session, get)()).is_alive()

    assert (await session.info()).status is SessionStatus.ACTIVE


async def test_stats_count_everything(client: Client, world: VirtualWorld) -> None:
    before = await client.stats()
    await populated(client, world)
    async with client.subscribe_to_all_sessions():
        stats = await client.stats()

    assert stats.sessions == {
        "active": 1,
        "waiting_input": 1,
        "suspended": 1,
        "failed": 1,
        "terminated": 1,
        "idle": 1,
    }
    assert (stats.active_sessions, stats.actors - before.actors) == (3, 9)
    assert (stats.subscriptions, stats.abandoned, stats.max_sessions) == (1, 0, 100_000)


async def test_a_house_in_order_is_healthy(client: Client) -> None:
    await client.create_session()

    health = await client.health()

    assert (health.status, health.problems, health.is_ok) == ("ok", (), True)


async def test_a_store_that_does_not_answer_is_a_problem_that_is_named() -> None:
    class Away(HeldStore):
        is_away = False

        async def count(self, **filters: Any) -> Any:
            if self.is_away:
                raise StoreUnavailable("the disk is away")
            return await super().count(**filters)

    store = Away()
    async with a_client(store) as client:
        store.is_away = True

        health = await client.health()

        assert health.status == "degraded"
        assert "the disk is away" in health.problems[0]
        store.is_away = False


async def test_a_repr_says_what_it_is(client: Client) -> None:
    session = await client.create_session()
    ref = await session.get_ref()

    assert session.id in repr(session)
    assert "1 sessions" in repr(client)
    assert session.id in repr(ref.supervisor)
    assert "not open" in repr(Client())
