"""A session's own supervisor: context manager, orchestrator, and whoever else it needs: files, an agent process.

Each has a restart budget that is its alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jidoka.actors.children import Child
from jidoka.actors.policy import Policy
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor import Supervisor
from jidoka.core.agents import CHILD, kind_of
from jidoka.sessions.agents import AgentProcess
from jidoka.sessions.context_manager import ContextManager
from jidoka.sessions.files import FileWatcher
from jidoka.sessions.orchestrator import Orchestrator

if TYPE_CHECKING:
    from jidoka.core.config import SessionConfig
    from jidoka.sessions.setup import SessionSetup

Plan = tuple[Policy, tuple[ChildSpec, ...]]


# Sessions with the same options share one plan: most have the defaults.
_plans: dict[tuple[Any, ...], Plan] = {}


def plan_for(config: SessionConfig, *, has_agent: bool = False) -> Plan:
    """How a session with *config* is supervised. Each child has a budget of its own (DV4)."""
    has_files = config.workspace is not None
    key = (config.strategy, config.max_restarts, config.within, config.shutdown, has_files, has_agent)
    plan = _plans.get(key)
    if plan is None:
        policy = Policy(
            strategy=config.strategy, max_restarts=config.max_restarts, within=config.within, budget="child"
        )
        specs = [
            ChildSpec("context_manager", ContextManager, shutdown=config.shutdown),
            ChildSpec("orchestrator", Orchestrator, restart="transient", shutdown=config.shutdown),
        ]
        if has_files:
            specs.append(ChildSpec("files", FileWatcher, restart="transient", shutdown=config.shutdown))
        if has_agent:
            specs.append(ChildSpec(CHILD, AgentProcess, restart="transient", shutdown=config.shutdown))
        plan = (policy, tuple(specs))
        if len(_plans) < 1_000:
            _plans[key] = plan
    return plan


class SessionSupervisor(Supervisor):
    """Keeps one session's actors alive. When their budget is spent it ends, and the session has failed."""

    def __init__(self, setup: SessionSetup) -> None:
        policy, specs = plan_for(setup.config, has_agent=kind_of(setup.model) is not None)
        super().__init__((), policy=policy)
        self.setup = setup
        for spec in specs:
            self.children[spec.id] = Child(self, spec, args=(setup,))

    def __repr__(self) -> str:
        system = self.jidoka_cell.system
        children = ", ".join(f"{child.id} {child.state(system)}" for child in self.children.values())
        return f"<SessionSupervisor {self.setup.session_id}: {children}>"
