"""The half of a supervisor that decides what follows an exit, and brings children back: one of them, or a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jidoka.actors.exits import SHUTDOWN, ExitReason, Ignore, text_of
from jidoka.actors.restarts import Budget, Verdict, affected, judge

if TYPE_CHECKING:
    from jidoka.actors.cell import Cell
    from jidoka.actors.children import Child
    from jidoka.actors.plan import Done, Plan
    from jidoka.actors.policy import Policy


class Restarting:
    """Verdicts, budgets, retries, groups."""

    policy: Policy
    children: dict[str, Child]
    is_ending: bool
    jidoka_cell: Cell
    _plan: Plan | None
    _budget: Budget | None
    _late: list[tuple[Child, ExitReason]] | None

    if TYPE_CHECKING:

        def begin(self, child: Child, then: Callable[[BaseException | None], object]) -> None: ...
        def remove(self, child: Child) -> None: ...
        def _bury(self, child: Child, reason: ExitReason) -> None: ...
        def _forget_timer(self, child: Child) -> None: ...
        def _carry_out(self, stops: Iterable[Child], starts: Iterable[Child], done: Done) -> None: ...
        def _plan_is_done(self, first: Callable[[], object] | None = None) -> None: ...

    # --- deciding ------------------------------------------------------------------------------------

    def _notice(self, child: Child, reason: ExitReason) -> None:
        if self._plan is None:
            self._exited(child, reason)
        elif not self._plan.covers(child):
            self._late = [*(self._late or ()), (child, reason)]

    def _exited(self, child: Child, reason: ExitReason) -> None:
        if self.is_ending or self.children.get(child.id) is not child or not child.is_waiting:
            return
        verdict = self.judge(child, reason)
        if verdict is Verdict.START_AGAIN:
            self._restart(child, reason)
            return
        self._bury(child, reason)
        if verdict is Verdict.FORGET:
            self.remove(child)
        self._shut_down_if_significant(child)

    def judge(self, child: Child, reason: ExitReason) -> Verdict:
        """What follows the exit of *child*. Subclasses may know better."""
        return judge(child.spec.restart, reason)

    def _restart(self, child: Child, reason: ExitReason) -> None:
        if not self._can_afford(child):
            self.give_up(child, reason)
        elif self.policy.strategy == "one_for_one":
            self._revive(child)
        else:
            self._restart_group(child)

    def _can_afford(self, child: Child) -> bool:
        now = self.jidoka_cell.system.timers.clock()
        if self.policy.budget == "child" and not self.policy.otp_strict:
            if child.budget is None:
                child.budget = self.new_budget(child)
            return child.budget.spend(now)
        if self._budget is None:
            self._budget = self.policy.new_budget()
        return self._budget.spend(now)

    def new_budget(self, child: Child) -> Budget:
        """What *child* may use up by itself. Subclasses may know better."""
        return self.policy.new_budget()

    def give_up(self, child: Child, reason: ExitReason) -> None:
        """Too many restarts: end, and let the parent decide. OTP calls this a shutdown; here it is abnormal (DV6)."""
        why = SHUTDOWN if self.policy.otp_strict else ExitReason("escalated", f"{child.id}: {reason}")
        self.jidoka_cell.end(why)

    def _shut_down_if_significant(self, child: Child) -> None:
        if not child.spec.significant or self.policy.auto_shutdown == "never":
            return
        others = (other for other in self.children.values() if other is not child and other.spec.significant)
        if self.policy.auto_shutdown == "any_significant" or not any(other.is_alive for other in others):
            self.jidoka_cell.end(SHUTDOWN)

    # --- restarting one ------------------------------------------------------------------------------

    def _revive(self, child: Child) -> None:
        self.begin(child, lambda error: self._revived(child, error))

    def _revived(self, child: Child, error: BaseException | None) -> None:
        if error is None:
            child.failures = 0
            child.restarts += 1
        elif not isinstance(error, Ignore) and not self.is_ending and not child.held:
            self._try_later(child, error, lambda: self._revive(child))

    def _try_later(self, child: Child, error: BaseException, again: Callable[[], object]) -> None:
        child.failures += 1
        if not self._can_afford(child):
            self.give_up(child, ExitReason("crash", text_of(error)))
            return
        system = self.jidoka_cell.system
        wait = self.policy.waits.delay(child.failures, system.world.random())
        child.timer = system.timers.after(wait, self._retry, (child, again))

    def _retry(self, what: tuple[Child, Callable[[], object]]) -> None:
        child, again = what
        child.timer = None
        if not self.is_ending:
            again()

    def others_waiting_for(self, child: Child) -> Callable[[], object] | None:
        """The restart of a group that waits for *child*'s next try."""
        if self.policy.strategy == "one_for_one" or child.timer is None or child.timer[2] != self._retry:
            return None
        return child.timer[3][1]

    # --- restarting a group --------------------------------------------------------------------------

    def _restart_group(self, child: Child) -> None:
        names = affected(self.policy.strategy, list(self.children), child.id)
        group = [self.children[name] for name in names]
        self._again(group, [other for other in group if other is not child])

    def _again(self, group: list[Child], stops: list[Child]) -> None:
        starts = [child for child in group if self._comes_back(child)]
        for child in group:
            child.returning = child in starts
            # A try of its own would break into the plan.
            self._forget_timer(child)
        # What is at rest already is not the plan's business: it may be started by hand meanwhile.
        stops = [child for child in stops if child.is_alive or child.is_waiting]
        self._carry_out(stops, starts, lambda child, error: self._group_is_up(starts, child, error))

    def _comes_back(self, child: Child) -> bool:
        sticky = child.held and not self.policy.otp_strict
        return child.spec.restart != "temporary" and not sticky

    def _group_is_up(self, group: list[Child], child: Child | None, error: BaseException | None) -> None:
        started = group if child is None else group[: group.index(child)]
        for other in started:
            other.failures = 0
            other.restarts += other.is_alive
        if child is None or error is None:
            self._plan_is_done()
            return
        rest = group[group.index(child) :] if self.policy.strategy == "rest_for_one" else group
        for other in rest:
            other.returning = True

        def stopped(_child: Child | None, _error: BaseException | None) -> None:
            def again() -> None:
                self._again([other for other in rest if self.children.get(other.id) is other], rest)

            self._plan_is_done(lambda: self._try_later(child, error, again))

        self._carry_out([other for other in rest if other is not child], (), stopped)
