"""What every actor of the house uses: the store, the hub, the world, and where the others live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jidoka.sessions.poison import Crashes
from jidoka.sessions.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor_ref import SupervisorRef
    from jidoka.actors.system import ActorSystem
    from jidoka.core.config import SessionConfig
    from jidoka.core.filecache import FileCache
    from jidoka.core.tokens import TokenCounter
    from jidoka.hub.hub import EventHub
    from jidoka.ports.agents import AgentLauncher
    from jidoka.ports.models import Models
    from jidoka.ports.store import Store
    from jidoka.ports.tools import Tools
    from jidoka.ports.workspaces import Workspaces
    from jidoka.ports.world import World
    from jidoka.sessions.agents import AgentDesk


@dataclass(slots=True)
class House:
    """One running jidoka. Made by `wiring.open_house`."""

    system: ActorSystem
    world: World
    store: Store
    hub: EventHub
    models: Models
    tools: Tools
    defaults: SessionConfig
    files: FileCache
    max_sessions: int
    mailbox: int
    call_timeout: float
    max_context_tokens: int
    context_prune_threshold: float
    exact_counter: Callable[[str], TokenCounter]
    housekeeping_every: float
    stale_grace: float
    workspaces: Workspaces
    agents: AgentDesk
    launcher: AgentLauncher
    # Children of sessions that were started again.
    restarts: int = 0
    crashes: Crashes = field(default_factory=Crashes)
    registry: Registry = field(default_factory=Registry)
    top: SupervisorRef | None = None
    root: SupervisorRef | None = None
    manager: ActorRef[Any] | None = None
