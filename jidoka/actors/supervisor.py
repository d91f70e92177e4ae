"""The supervisor: an actor that starts, ends and restarts other actors, after Erlang/OTP's `supervisor`.

It never waits: what takes time goes on by itself and tells when it is done, so that a slow child holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from jidoka.actors.actor import Actor
from jidoka.actors.children import Child
from jidoka.actors.errors import ChildStartError
from jidoka.actors.exits import SHUTDOWN, ExitReason, Ignore, text_of
from jidoka.actors.operations import Operations
from jidoka.actors.plan import Done, Plan
from jidoka.actors.policy import Policy, policy_of
from jidoka.actors.ref import ActorRef
from jidoka.actors.restarting import Restarting
from jidoka.actors.specs import ChildSpec, check_specs
from jidoka.actors.supervisor_ref import SupervisorRef

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.cell import Cell
    from jidoka.actors.restarts import Budget


class Supervisor(Restarting, Operations, Actor):
    """Keeps its children alive. As a child: `ChildSpec(id, Supervisor, kwargs={"children": [...]})`.

    Options are those of `ActorSystem.supervise`. Raises InvalidChildSpec.
    """

    ref_type: ClassVar[type[ActorRef[Any]]] = SupervisorRef
    has_children: ClassVar[bool] = True

    def __init__(
        self,
        children: Iterable[ChildSpec | Mapping[str, Any]] = (),
        *,
        policy: Policy | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.policy = policy if policy is not None else policy_of(options)
        self.children: dict[str, Child] = {}
        self.is_ending = False
        self._plan: Plan | None = None
        self._budget: Budget | None = None
        # Exits that wait until the plan is done.
        self._late: list[tuple[Child, ExitReason]] | None = None
        for spec in check_specs(children, auto_shutdown=self.policy.auto_shutdown) if children else ():
            self.children[spec.id] = Child(self, spec)

    # --- coming up -----------------------------------------------------------------------------------

    def on_start(self) -> Any:
        """Start the children, in order. Comes up when all of them are up."""
        outcome: list[BaseException | None] = []
        slot: list[Slot] = []

        def done(error: BaseException | None) -> None:
            outcome.append(error)
            if slot and not slot[0].done():
                slot[0].set_result(None)

        self._start_all(done)
        if outcome:
            if outcome[0] is not None:
                raise outcome[0]
            return None
        slot.append(self.jidoka_cell.system.backend.new_slot())
        return self._come_up(slot[0], outcome)

    async def _come_up(self, slot: Slot, outcome: list[BaseException | None]) -> None:
        await slot
        if outcome[0] is not None:
            raise outcome[0]

    def _start_all(self, then: Callable[[BaseException | None], object]) -> None:
        def done(child: Child | None, error: BaseException | None) -> None:
            if child is None or error is None:
                self._plan_is_done()
                then(None)
                return
            # OTP: what was started goes down again, last one first; the failure is not retried.
            failure = ChildStartError(child.id, text_of(error))
            failure.__cause__ = error
            self._carry_out(self._alive(), (), lambda _child, _error: then(failure))

        for child in list(self.children.values()):
            child.is_new = False
        self._carry_out((), list(self.children.values()), done)

    def _carry_out(self, stops: Iterable[Child], starts: Iterable[Child], done: Done) -> None:
        if self._plan is not None:
            self._plan.cancel()
        self._plan = Plan(list(stops), list(starts), stop=self.finish, start=self._begin_in_turn, done=done)
        self._plan.go()

    def _begin_in_turn(self, child: Child, then: Callable[[BaseException | None], object]) -> None:
        if self.children.get(child.id) is not child or (child.held and not self.policy.otp_strict):
            then(None)
            return
        self.begin(child, then)

    def _plan_is_done(self, first: Callable[[], object] | None = None) -> None:
        self._plan = None
        late, self._late = self._late, None
        if first is not None:
            first()
        for child, reason in late or ():
            self._notice(child, reason)

    # --- starting and ending one child ---------------------------------------------------------------

    def begin(self, child: Child, then: Callable[[BaseException | None], object]) -> None:
        """Start *child*; *then* hears None, or why it did not come up."""
        system = self.jidoka_cell.system
        child.on_started = then
        child.held = child.returning = False
        limit = child.spec.start_timeout
        if limit != "infinity":
            child.timer = system.timers.after(limit, self._start_overdue, child)
        child.start(system)

    def _start_overdue(self, child: Child) -> None:
        child.timer = None
        if child.cell is not None:
            child.cell.kill(ExitReason("killed", "timeout"))

    def finish(self, child: Child, then: Callable[[], object]) -> None:
        """End *child* in its own time; *then* hears when it is down."""
        self._forget_timer(child)
        if not child.is_alive:
            if not child.returning:
                self._bury(child, SHUTDOWN)
            then()
            return
        child.on_down = [*(child.on_down or ()), then]
        assert child.cell is not None
        child.cell.terminate(child.spec.shutdown)

    def _bury(self, child: Child, reason: ExitReason) -> None:
        """No incarnation of *child* follows. Its record stays, unless it is temporary."""
        if child.cell is not None:
            child.cell.let_go(reason)
        if child.spec.restart == "temporary":
            self.remove(child)

    def remove(self, child: Child) -> None:
        """Forget *child*."""
        if self.children.get(child.id) is child:
            del self.children[child.id]

    def _forget_timer(self, child: Child) -> None:
        if child.timer is not None:
            self.jidoka_cell.system.timers.cancel(child.timer)
            child.timer = None

    def _alive(self) -> list[Child]:
        return [child for child in self.children.values() if child.is_alive or child.is_waiting]

    # --- what the children tell ----------------------------------------------------------------------

    def on_child_up(self, child: Child) -> None:
        """A child has come up."""
        if child.timer is not None:
            self._forget_timer(child)
        then, child.on_started = child.on_started, None
        if then is not None:
            then(None)
        if child.settled is not None:
            child.settle()

    def on_child_failed(self, child: Child, error: BaseException) -> None:
        """A child did not come up."""
        self._forget_timer(child)
        then, child.on_started = child.on_started, None
        down, child.on_down = child.on_down, None
        # Before anybody hears of it: they may start it again.
        if isinstance(error, Ignore):
            self._bury(child, ExitReason("normal", "ignored its start"))
        elif down is not None and not child.returning:
            self._bury(child, SHUTDOWN)
        if then is not None:
            then(error)
        for go_on in down or ():
            go_on()
        child.settle()

    def on_child_down(self, child: Child, reason: ExitReason) -> None:
        """A child's incarnation has ended: because it was asked to, or by itself."""
        if child.on_started is not None:
            self.on_child_failed(child, ChildStartError(child.id, reason.detail or str(reason)))
        elif child.on_down is not None:
            self._ended_as_asked(child, reason)
        elif self.is_ending:
            self._bury(child, reason)
        else:
            self._notice(child, reason)

    def _ended_as_asked(self, child: Child, reason: ExitReason) -> None:
        then, child.on_down = child.on_down, None
        if not child.returning:
            self._bury(child, reason)
        for go_on in then or ():
            go_on()
        child.settle()

    # --- going down ----------------------------------------------------------------------------------

    @staticmethod
    def stop_children(cell: Cell, then: Callable[[], object]) -> None:
        """End the children one after another, the last one first."""
        actor = cell.actor
        assert isinstance(actor, Supervisor)
        actor.is_ending = True
        actor.bring_down(then)

    def bring_down(self, then: Callable[[], object]) -> None:
        """End every child in its own time, then go on."""
        self._late = None
        for child in self.children.values():
            child.returning = False
        self._carry_out(self.children.values(), (), lambda _child, _error: then())

    @staticmethod
    def kill_children(cell: Cell, then: Callable[[], object] | None) -> None:
        """End the children by force, all at once, then go on."""
        actor = cell.actor
        if not isinstance(actor, Supervisor):
            if then is not None:
                then()
            return
        was_ending, actor.is_ending = actor.is_ending, True
        actor.fell(then, was_ending)

    def fell(self, then: Callable[[], object] | None, was_ending: bool) -> None:
        """Kill every child; when all are down, go on. A plan that was under way ends by itself."""
        if not was_ending and self._plan is not None:
            self._plan.cancel()
            self._plan = None
        alive = [child for child in reversed(self.children.values()) if child.is_alive]
        left = len(alive)

        def one_is_down() -> None:
            nonlocal left
            left -= 1
            if left == 0 and then is not None:
                then()

        for child in list(self.children.values()):
            child.returning = False
            self._forget_timer(child)
            if not child.is_alive:
                # Also one whose turn has not come: it may have been found, and called.
                self._bury(child, SHUTDOWN)
        for child in alive:
            if then is not None:
                child.on_down = [*(child.on_down or ()), one_is_down]
            assert child.cell is not None
            child.cell.kill_now()
        if not alive and then is not None:
            then()
