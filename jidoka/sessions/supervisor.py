"""A session's own supervisor: the context manager and the orchestrator, with a restart budget that is theirs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jidoka.actors.children import Child
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor import Policy, Supervisor
from jidoka.sessions.context_manager import ContextManager
from jidoka.sessions.orchestrator import Orchestrator

if TYPE_CHECKING:
    from jidoka.core.config import SessionConfig
    from jidoka.sessions.setup import SessionSetup

CONTEXT = ChildSpec("context_manager", ContextManager)
ORCHESTRATOR = ChildSpec("orchestrator", Orchestrator, restart="transient")

_policies: dict[tuple[Any, ...], Policy] = {}


def policy_for(config: SessionConfig) -> Policy:
    """Each child has a budget of its own (DV4). Sessions with the same options share one policy."""
    key = (config.strategy, config.max_restarts, config.within)
    policy = _policies.get(key)
    if policy is None:
        policy = Policy(
            strategy=config.strategy, max_restarts=config.max_restarts, within=config.within, budget="child"
        )
        if len(_policies) < 1_000:
            _policies[key] = policy
    return policy


class SessionSupervisor(Supervisor):
    """Keeps one session's actors alive. When their budget is spent it ends, and the session has failed."""

    def __init__(self, setup: SessionSetup) -> None:
        super().__init__((), policy=policy_for(setup.config))
        self.setup = setup
        for spec in (CONTEXT, ORCHESTRATOR):
            self.children[spec.id] = Child(self, spec, args=(setup,))

    def __repr__(self) -> str:
        system = self.jidoka_cell.system
        children = ", ".join(f"{child.id} {child.state(system)}" for child in self.children.values())
        return f"<SessionSupervisor {self.setup.session_id}: {children}>"
