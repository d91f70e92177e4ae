"""Opens a house: picks the store, and starts the actors in the order in which they stand on each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from jidoka.actors.specs import ChildSpec
from jidoka.actors.system import ActorSystem
from jidoka.adapters.agents import AgentCommands
from jidoka.adapters.memory import MemoryStore
from jidoka.adapters.model_names import ModelNames
from jidoka.adapters.toolbox import Toolbox
from jidoka.adapters.workspaces import LocalWorkspaces
from jidoka.core.errors import InvalidMessage
from jidoka.core.filecache import FileCache
from jidoka.hub.hub import EventHub
from jidoka.sessions.agents import AgentDesk
from jidoka.sessions.house import House
from jidoka.sessions.housekeeper import Housekeeper
from jidoka.sessions.manager import SessionManager
from jidoka.sessions.root import SessionsRoot

if TYPE_CHECKING:
    from jidoka.core.settings import Settings
    from jidoka.core.tokens import TokenCounter
    from jidoka.ports.models import Model
    from jidoka.ports.store import Store
    from jidoka.ports.world import World


def store_for(url: str | Store) -> Store:
    """The store that *url* names. Raises InvalidMessage for one that nobody knows."""
    if not isinstance(url, str):
        return url
    if url == "memory://":
        return MemoryStore()
    if url.startswith("sqlite:"):
        from jidoka.adapters.sqlite import SQLiteStore

        return SQLiteStore.from_url(url)
    if url.startswith(("postgresql:", "postgres:")):
        from jidoka.adapters.postgres import PostgresStore

        return PostgresStore.from_url(url)
    known = "memory://, sqlite:///… and postgresql://…"
    raise InvalidMessage(f"no store for {url!r}: this version knows {known}")


@asynccontextmanager
async def open_house(
    store: str | Store,
    *,
    settings: Settings,
    models: Mapping[str, Model] | None = None,
    tools: Iterable[Any] = (),
    world: World | None = None,
) -> AsyncGenerator[House]:
    """A running house. Leaving it ends every actor, then closes the hub and the store."""
    async with AsyncExitStack() as stack:
        system = ActorSystem(world=world)
        toolbox = Toolbox(tools, limits=settings.tool_limits(), world=system.world)
        opened = store_for(store)
        await opened.open()
        stack.push_async_callback(opened.close)
        hub = EventHub(opened, system.world)
        stack.callback(hub.close)
        desk = AgentDesk()
        commands = AgentCommands(
            settings.agents,
            is_free=settings.allow_agent_commands,
            limits=settings.agent_limits(),
            world=system.world,
        )
        names = ModelNames(
            models or {},
            endpoints=settings.llm_endpoints,
            limits=settings.model_limits(),
            world=system.world,
            commands=commands,
            agents=desk,
        )
        stack.push_async_callback(names.aclose)
        workspaces = LocalWorkspaces(
            settings.workspaces,
            world=system.world,
            most_bytes=settings.workspace_file_bytes,
            most_watched=settings.max_watched,
        )
        await workspaces.open()
        stack.push_async_callback(workspaces.close)
        await stack.enter_async_context(system)
        house = House(
            system=system,
            world=system.world,
            store=opened,
            hub=hub,
            models=names,
            tools=toolbox,
            defaults=settings.session_defaults(),
            files=FileCache(session_items=settings.file_cache_items, session_bytes=settings.file_cache_bytes),
            max_sessions=settings.max_sessions,
            mailbox=settings.mailbox,
            call_timeout=settings.call_timeout,
            max_context_tokens=settings.max_context_tokens,
            context_prune_threshold=settings.context_prune_threshold,
            exact_counter=_exact_counter,
            housekeeping_every=settings.housekeeping_every,
            stale_grace=settings.stale_grace,
            workspaces=workspaces,
            agents=desk,
            launcher=commands,
        )
        await _start_actors(house)
        yield house


def _exact_counter(model: str) -> TokenCounter:
    from jidoka.adapters.bpe import exact_counter

    return exact_counter(model)


async def _start_actors(house: House) -> None:
    top = await house.system.supervise(
        [
            ChildSpec("sessions", SessionsRoot, (house,), type="supervisor"),
            # Its state is derived from the tree: it may come back as often as it has to.
            ChildSpec("manager", SessionManager, (house,)),
        ],
        max_restarts=1_000_000,
        within=1.0,
    )
    house.top = top
    house.root = await top.child("sessions")  # pyright: ignore[reportAttributeAccessIssue]
    house.manager = await top.child("manager")
    # It asks the manager from the first moment on.
    await top.start_child(ChildSpec("housekeeper", Housekeeper, (house,)))
