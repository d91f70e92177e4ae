"""A supervisor's record of one child: what it is, where it lives, and what is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from jidoka.actors.cell import Cell
from jidoka.actors.specs import ChildInfo, ChildSpec, ChildState
from jidoka.actors.states import CLOSING, DEAD, NEW, RUNNING, STARTING, WAITING
from jidoka.actors.threads import cell_for

if TYPE_CHECKING:
    from jidoka.actors.exits import ExitReason
    from jidoka.actors.restarts import Budget
    from jidoka.actors.system import ActorSystem
    from jidoka.actors.timers import Timer

Started = Callable[[BaseException | None], object]


class Owner(Protocol):
    """The supervisor, as its children's records see it."""

    def on_child_up(self, child: Child) -> None: ...
    def on_child_failed(self, child: Child, error: BaseException) -> None: ...
    def on_child_down(self, child: Child, reason: ExitReason) -> None: ...


class Child:
    """One child. It is its cell's parent, and passes on to the supervisor what it hears."""

    __slots__ = (
        "args",
        "budget",
        "cell",
        "failures",
        "held",
        "id",
        "is_new",
        "kwargs",
        "on_down",
        "on_started",
        "owner",
        "restarts",
        "returning",
        "settled",
        "spec",
        "timer",
    )

    restarts_children = True

    def __init__(
        self,
        owner: Owner,
        spec: ChildSpec,
        id: str | None = None,
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.owner = owner
        self.spec = spec
        self.id = id if id is not None else spec.id
        self.args = args if args is not None else spec.args
        self.kwargs = kwargs if kwargs is not None else spec.kwargs
        self.cell: Cell | None = None
        self.restarts = 0
        # Starts in a row that have failed.
        self.failures = 0
        self.budget: Budget | None = None
        # Not up for the first time yet: only its id is taken.
        self.is_new = True
        # Ended by `terminate_child`: stays so until `restart_child`.
        self.held = False
        # Being ended as part of a restart that starts it again.
        self.returning = False
        # The retry that is due, or the limit of the start under way.
        self.timer: Timer | None = None
        # Whoever waits for the start, the end, or either.
        self.on_started: Started | None = None
        self.on_down: list[Callable[[], object]] | None = None
        self.settled: list[Callable[[], object]] | None = None

    # --- the cell's parent ---------------------------------------------------------------------------

    def child_up(self, cell: Cell) -> None:
        self.is_new = False
        if self.spec.restart == "temporary":
            # Never needed again: do not keep them alive.
            cell.args = self.args = ()
            cell.kwargs = None
            self.kwargs = {}
            if self.id == self.spec.id:
                self.spec = self.spec.without_arguments()
        self.owner.on_child_up(self)

    def child_failed(self, cell: Cell, error: BaseException) -> None:
        self.owner.on_child_failed(self, error)

    def child_down(self, cell: Cell, reason: ExitReason) -> None:
        self.owner.on_child_down(self, reason)

    # --- how it is -----------------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        """Whether there is an incarnation."""
        return self.cell is not None and self.cell.state in (STARTING, RUNNING, CLOSING)

    @property
    def is_running(self) -> bool:
        return self.cell is not None and self.cell.state is RUNNING

    @property
    def is_waiting(self) -> bool:
        """Whether it is between two incarnations."""
        return self.cell is not None and self.cell.state is WAITING

    @property
    def is_in_transition(self) -> bool:
        """Whether a start or an end is under way."""
        return self.on_started is not None or self.on_down is not None

    def state(self, system: ActorSystem) -> ChildState:
        if self.cell is None:
            return "stopped"
        if self.cell.state in (NEW, STARTING, WAITING):
            return "restarting"
        if self.is_alive:
            return "running"
        return "abandoned" if system.is_abandoned(self.cell) else "stopped"

    def info(self, system: ActorSystem) -> ChildInfo:
        cell = self.cell_in(system)
        spec = self.spec
        return ChildInfo(self.id, cell.ref, spec.type, spec.restart, self.state(system), self.restarts, cell.mail_count)

    def cell_in(self, system: ActorSystem) -> Cell:
        """Where it lives, or lived last."""
        if self.cell is None:
            self.cell = cell_for(system, self, self.spec.actor, self.args, self.kwargs)
        return self.cell

    def start(self, system: ActorSystem) -> None:
        """Start it: in a new place, if it has only the grave of an earlier one."""
        if self.cell is not None and self.cell.state is DEAD:
            self.cell = None
        self.cell_in(system).start()

    def settle(self) -> None:
        """Those who waited for the transition to end have their turn."""
        if self.settled is not None and not self.is_in_transition:
            waiting, self.settled = self.settled, None
            for go_on in waiting:
                go_on()
