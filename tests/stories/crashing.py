"""What is killed in several stories, and what has to be there afterwards."""

from collections.abc import Awaitable, Callable
from typing import Any

from jidoka.client import Client
from jidoka.session import Session
from jidoka.testing.faults import kill_child, kill_manager, kill_supervisor

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
