"""A supervisor whose children all come from one template and are added while it runs (OTP: simple_one_for_one)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jidoka.actors.children import Child
from jidoka.actors.errors import ChildNotFound, ChildStartError, InvalidChildSpec
from jidoka.actors.exits import ExitReason
from jidoka.actors.policy import Policy
from jidoka.actors.ref import ActorRef
from jidoka.actors.specs import ChildSpec
from jidoka.actors.supervisor import Supervisor


class DynamicSupervisor(Supervisor):
    """Children of one template. They come back with their own arguments, and go down together.

    `max_children` bounds them; the ones being restarted count.
    """

    def __init__(
        self,
        template: ChildSpec | Mapping[str, Any],
        *,
        max_children: int | None = None,
        policy: Policy | None = None,
        **options: Any,
    ) -> None:
        super().__init__((), policy=policy, **options)
        if isinstance(template, list | tuple):
            raise InvalidChildSpec("a dynamic supervisor has exactly one template")
        if max_children is not None and (isinstance(max_children, bool) or max_children < 0):
            raise InvalidChildSpec(f"max_children is a whole number from 0, not {max_children!r}")
        if self.policy.strategy != "one_for_one":
            raise InvalidChildSpec("a dynamic supervisor is one_for_one")
        self.template = ChildSpec.of(template)
        self.max_children = max_children
        self._number = 0

    def add_from(self, args: tuple[Any, ...], kwargs: dict[str, Any], slot: Any) -> None:
        """Start a child of the template with *args* after its own."""
        self._number += 1
        id = f"{self.template.id}-{self._number}"
        self.start_new(self.new_child(id, args, kwargs), slot)

    def new_child(self, id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Child:
        """A record for a child of the template. Raises ChildStartError at `max_children`."""
        if self.max_children is not None and len(self.children) >= self.max_children:
            raise ChildStartError(id, "max_children")
        template = self.template
        return Child(
            self, template, id, (*template.args, *args), {**template.kwargs, **kwargs} if kwargs else template.kwargs
        )

    def id_of(self, child: str | ActorRef[Any]) -> str:
        """The id of the child that *child* refers to, even if it is gone."""
        if not isinstance(child, str):
            parent = child.cell.parent
            if isinstance(parent, Child) and parent.owner is self:
                return parent.id
        return super().id_of(child)

    def revive_child(self, id: str, slot: Any) -> None:
        raise InvalidChildSpec("the children of a dynamic supervisor are started anew, not by id")

    def delete_child(self, id: str, slot: Any) -> None:
        raise InvalidChildSpec("the children of a dynamic supervisor are forgotten when they end")

    def end_child(self, id: str, slot: Any) -> None:
        """End a child, for good: a dynamic child that was ended is forgotten."""
        child = self.children.get(id)
        if child is None:
            self._ended_already(id, slot)
            return

        child.returning = False
        child.held = True
        self.finish(child, lambda: None if slot.done() else slot.set_result(None))

    def _ended_already(self, id: str, slot: Any) -> None:
        prefix, _, number = id.rpartition("-")
        if prefix != self.template.id or not number.isdigit() or int(number) > self._number:
            raise ChildNotFound(f"no child {id!r}")
        slot.set_result(None)

    def _bury(self, child: Child, reason: ExitReason) -> None:
        super()._bury(child, reason)
        self.remove(child)

    def bring_down(self, then: Callable[[], object]) -> None:
        """End every child at once, each in its own time, then go on."""
        waiting = list(self.children.values())
        left = len(waiting)

        def one_is_down() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                then()

        for child in waiting:
            child.returning = False
            self.finish(child, one_is_down)
        if not waiting:
            then()
