"""The supervisor of all sessions. One session's crashes are counted against that session, and nobody else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from jidoka.actors.children import Child, Started
from jidoka.actors.dynamic import DynamicSupervisor
from jidoka.actors.errors import ChildStartError
from jidoka.actors.exits import SHUTDOWN, ExitReason
from jidoka.actors.policy import Policy
from jidoka.actors.restarts import Budget, Verdict
from jidoka.actors.specs import ChildSpec
from jidoka.sessions.keeper import write_last_words
from jidoka.sessions.registry import Registry
from jidoka.sessions.supervisor import SessionSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from jidoka.sessions.house import House
    from jidoka.sessions.setup import SessionSetup

log = logging.getLogger("jidoka.sessions")

TEMPLATE = ChildSpec("session", SessionSupervisor)


class SessionsRoot(DynamicSupervisor):
    """Owns every session's supervisor. It restarts one that was killed, and records the end of one that gave up."""

    def __init__(self, house: House) -> None:
        super().__init__(TEMPLATE, policy=Policy(budget="child"))
        self.house = house
        house.registry = Registry()
        house.agents.forget_all()
        # Sessions whose failure is being written down: nobody may start them meanwhile.
        self._failing: dict[str, list[Callable[[], object]]] = {}

    # --- for the manager -------------------------------------------------------------------------------------

    def start_session(self, setup: SessionSetup, then: Started) -> None:
        """Start a session's actors, under the session's id, which is free. *then* hears None, or what went wrong."""
        child = Child(self, TEMPLATE, setup.session_id, (setup,))
        if self.is_ending:
            then(ChildStartError(child.id, "shutdown"))
            return
        self.children[child.id] = child

        def started(error: BaseException | None) -> None:
            if error is not None:
                self._bury(child, SHUTDOWN)
                self.remove(child)
            then(error)

        self.begin(child, started)

    def when_started(self, session_id: str, then: Callable[[], object]) -> bool:
        """Whether *session_id* is coming up: then *then* is called when it is there, or could not come up."""
        child = self.children.get(session_id)
        if child is None or child.on_started is None:
            return False
        child.settled = [*(child.settled or ()), then]
        return True

    def on_child_up(self, child: Child) -> None:
        """A session is there for everybody to find, as soon as it is up."""
        self.house.registry.add(child.id, child)
        super().on_child_up(child)

    def remove(self, child: Child) -> None:
        """A session is gone. Whoever waits for it to come back looks again."""
        super().remove(child)
        self.house.registry.remove(child.id)
        self.house.agents.forget(child.id)
        child.settle()

    def when_recorded(self, session_id: str, then: Callable[[], object]) -> bool:
        """Whether *session_id* has just failed: then *then* is called when that is written down."""
        if session_id not in self._failing:
            return False
        self._failing[session_id].append(then)
        return True

    # --- deciding --------------------------------------------------------------------------------------------

    def judge(self, child: Child, reason: ExitReason) -> Verdict:
        """A supervisor that gave up has had its chances; one that crashed or was killed comes back."""
        if reason.kind in {"crash", "killed", "abandoned"}:
            return Verdict.START_AGAIN
        self._failed(child, reason)
        return Verdict.FORGET

    def new_budget(self, child: Child) -> Budget:
        """As many restarts as the session's own options allow."""
        config = cast("SessionSetup", cast("tuple[Any, ...]", child.args)[0]).config
        return Budget(config.max_restarts, config.within)

    def give_up(self, child: Child, reason: ExitReason) -> None:
        """This session has crashed too often. The others go on."""
        self._bury(child, reason)
        self.remove(child)
        self._failed(child, reason)

    def _failed(self, child: Child, reason: ExitReason) -> None:
        self._failing[child.id] = []
        self.start_soon(self._record_failure, child.id, str(reason))

    async def _record_failure(self, session_id: str, error: str) -> None:
        try:
            await write_last_words(self.house, session_id, error=error)
        except Exception:
            # One session's trouble with the store must not end the supervisor of all of them.
            log.exception("the failure of a session could not be recorded", extra={"session_id": session_id})
        finally:
            for go_on in self._failing.pop(session_id, ()):
                go_on()
