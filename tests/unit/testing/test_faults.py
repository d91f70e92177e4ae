"""Faults: they break what they say, and come back when it is broken."""

import pytest

from jidoka import Client
from jidoka.actors import ChildNotFound
from jidoka.testing.events import listening_to
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor


@pytest.mark.parametrize("name", ["context_manager", "orchestrator"])
async def test_a_killed_child_comes_back(name: str) -> None:
    async with Client() as client:
        session = await client.create_session()
        await session.send_message("user", "hello")

        async with listening_to(client, session.id) as log:
            reason = await kill_child(session, name)
            restarted = await log.next("child_restarted")

        assert reason.kind == "killed"
        assert restarted.data["child"] == name
        assert [message.content for message in await session.get_history()] == ["hello"]
        assert {child.id: child.restarts for child in await session.which_children()}[name] == 1


async def test_a_killed_supervisor_comes_back_with_new_children() -> None:
    async with Client() as client:
        session = await client.create_session()
        await session.send_message("user", "hello")
        before = [child.ref for child in await session.which_children()]

        async with listening_to(client, session.id) as log:
            reason = await kill_supervisor(session)
            restarted = await log.next("child_restarted")

        assert reason.kind == "killed"
        assert restarted.data["child"] == "supervisor"
        assert not any(ref.is_alive() for ref in before)
        assert [message.content for message in await session.get_history()] == ["hello"]


async def test_a_killed_manager_comes_back_and_finds_the_sessions() -> None:
    async with Client() as client:
        session = await client.create_session()
        children = await session.which_children()

        reason = await kill_manager(client)

        assert reason.kind == "killed"
        assert (await client.create_session()).id != session.id
        await session.send_message("user", "hello")
        assert [child.ref for child in await session.which_children()] == [child.ref for child in children]
        manager = next(node for node in (await client.supervision_tree()).children if node.id == "manager")
        assert (manager.state, manager.restarts) == ("running", 1)
        await session.terminate()


async def test_who_is_not_there_cannot_be_killed() -> None:
    async with Client() as client:
        session = await client.create_session()

        with pytest.raises(ChildNotFound, match="nobody"):
            await kill_child(session, "nobody")
