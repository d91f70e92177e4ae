"""What may be asked of a supervisor: add, end, restart, forget, look. None of it waits inside the supervisor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jidoka.actors.children import Child
from jidoka.actors.errors import ChildNotFound, ChildStartError, WouldDeadlock
from jidoka.actors.exits import SHUTDOWN, Ignore, text_of
from jidoka.actors.specs import ChildCounts, ChildInfo, ChildSpec, check_significance
from jidoka.actors.states import CLOSING, acting
from jidoka.actors.supervisor_ref import spec_from

if TYPE_CHECKING:
    from jidoka.actors.backend import Slot
    from jidoka.actors.plan import Plan
    from jidoka.actors.policy import Policy
    from jidoka.actors.ref import ActorRef


class Operations:
    """The half of a supervisor that its ref talks to. Answers go to slots."""

    policy: Policy
    children: dict[str, Child]
    is_ending: bool
    _plan: Plan | None

    if TYPE_CHECKING:
        from jidoka.actors.cell import Cell

        jidoka_cell: Cell
        begin: Callable[[Child, Callable[[BaseException | None], object]], None]
        finish: Callable[[Child, Callable[[], object]], None]
        remove: Callable[[Child], None]
        others_waiting_for: Callable[[Child], Callable[[], object] | None]
        _bury: Callable[..., None]
        _forget_timer: Callable[[Child], None]

    # --- looking -------------------------------------------------------------------------------------

    def infos(self) -> list[ChildInfo]:
        """The children, in start order. One that has never been up only has its id taken, and is not listed."""
        system = self.jidoka_cell.system
        return [child.info(system) for child in self.children.values() if not child.is_new]

    def counts(self) -> ChildCounts:
        """How many there are."""
        children = [child for child in self.children.values() if not child.is_new]
        supervisors = sum(child.spec.type == "supervisor" for child in children)
        active = sum(child.is_alive for child in children)
        return ChildCounts(len(children), active, supervisors, len(children) - supervisors)

    def find(self, id: str) -> Child:
        """The child with that id. Raises ChildNotFound."""
        child = self.children.get(id)
        if child is None:
            raise ChildNotFound(f"no child {id!r}")
        return child

    # --- changing ------------------------------------------------------------------------------------

    def add(self, spec: ChildSpec | Mapping[str, Any], slot: Slot) -> None:
        """Start one more child. Answers its ref."""
        spec = ChildSpec.of(spec)
        check_significance(spec, self.policy.auto_shutdown)
        known = self.children.get(spec.id)
        if known is not None:
            self._add_known(known, spec, slot)
            return
        self.start_new(Child(self, spec), slot)  # pyright: ignore[reportArgumentType]

    def add_from(self, args: tuple[Any, ...], kwargs: dict[str, Any], slot: Slot) -> None:
        """`start_child` as its caller wrote it."""
        self.add(spec_from(args, kwargs), slot)

    def id_of(self, child: str | ActorRef[Any]) -> str:
        """The id of the child that *child* names or refers to. Raises ChildNotFound."""
        if isinstance(child, str):
            return child
        for record in self.children.values():
            if record.cell is child.cell:
                return record.id
        raise ChildNotFound(f"{child} is not a child here")

    def _add_known(self, known: Child, spec: ChildSpec, slot: Slot) -> None:
        if known.is_in_transition:
            self._when_settled(known, slot, lambda: self.add(spec, slot))
        elif known.is_running:
            assert known.cell is not None
            raise ChildStartError(spec.id, "already_started", ref=known.cell.ref)
        else:
            raise ChildStartError(spec.id, "already_present")

    def start_new(self, child: Child, slot: Slot) -> None:
        """Start *child*, whose id is free."""
        if self.is_ending or self.jidoka_cell.state is CLOSING:
            raise ChildStartError(child.id, "shutdown")
        self.children[child.id] = child
        self.begin(child, lambda error: self._added(child, slot, error))

    def _added(self, child: Child, slot: Slot, error: BaseException | None) -> None:
        child.is_new = False
        if error is not None and not isinstance(error, Ignore):
            self._bury(child, SHUTDOWN)
            self.remove(child)
        self._answer_start(child, slot, error)

    def _answer_start(self, child: Child, slot: Slot, error: BaseException | None) -> None:
        if slot.done():
            return
        if error is None or isinstance(error, Ignore):
            assert child.cell is not None
            slot.set_result(child.cell.ref)
        elif isinstance(error, ChildStartError) and error.child_id == child.id:
            slot.set_exception(error)
        else:
            failure = ChildStartError(child.id, text_of(error))
            failure.__cause__ = error
            slot.set_exception(failure)

    def end_child(self, id: str, slot: Slot) -> None:
        """End a child. It stays ended until `revive_child`, whatever happens around it.

        One that is coming up for the first time fails its start: it is not found, as if asked just after that.
        """
        child = self.find(id)
        _refuse_self(child)
        child.held = True
        if self._plan is not None:
            self._plan.drop(child)
        child.returning = False
        was_new = child.is_new

        def ended() -> None:
            if slot.done():
                return
            if was_new and self.children.get(id) is not child:
                slot.set_exception(ChildNotFound(f"no child {id!r}"))
            else:
                slot.set_result(None)

        go_on = self.others_waiting_for(child)
        self.finish(child, ended)
        if go_on is not None:
            go_on()

    def revive_child(self, id: str, slot: Slot) -> None:
        """Start a child that is ended. A failure costs nothing of the budget."""
        child = self.find(id)
        if child.is_in_transition:
            self._when_settled(child, slot, lambda: self.revive_child(id, slot))
            return
        self._refuse_busy(child)
        if self.is_ending:
            raise ChildStartError(id, "shutdown")
        self.begin(child, lambda error: self._revived_by_hand(child, slot, error))

    def _revived_by_hand(self, child: Child, slot: Slot, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, Ignore):
            self._bury(child, SHUTDOWN)
            child.held = True
        self._answer_start(child, slot, error)

    def delete_child(self, id: str, slot: Slot) -> None:
        """Forget a child that is ended."""
        child = self.find(id)
        if child.is_in_transition:
            self._when_settled(child, slot, lambda: self.delete_child(id, slot))
            return
        self._refuse_busy(child)
        self.remove(child)
        slot.set_result(None)

    def _refuse_busy(self, child: Child) -> None:
        if child.is_waiting or (self._plan is not None and child in self._plan.starts):
            raise ChildStartError(child.id, "restarting")
        if child.is_alive:
            assert child.cell is not None
            raise ChildStartError(child.id, "running", ref=child.cell.ref)

    def _when_settled(self, child: Child, slot: Slot, operation: Callable[[], object]) -> None:
        """Operations on one child have the effect of some serial order: this one waits for the one under way."""
        _refuse_self(child)

        def go_on() -> None:
            try:
                operation()
            except Exception as error:
                if not slot.done():
                    slot.set_exception(error)

        child.settled = [*(child.settled or ()), go_on]


def _refuse_self(child: Child) -> None:
    me = acting.get()
    if me is not None and me[1] and child.cell is not None and me[0] is child.cell.actor:
        raise WouldDeadlock(f"child {child.id!r} would wait for itself")
