"""The context manager's clock: a session that nobody uses says so, warns, and asks to be suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from jidoka.core.care import WORKING
from jidoka.core.events import EventType, live_event
from jidoka.core.resting import Rest, first_look, next_look, rest_after
from jidoka.core.status import SessionStatus

if TYPE_CHECKING:
    from jidoka.actors.cell import Cell
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.timers import Timer
    from jidoka.core.state import SessionState
    from jidoka.sessions.setup import SessionSetup


# Seconds.
SOONEST: Final = 1e-6


class GoIdle:
    """The context manager tells itself."""


class Clock:
    """The part of the context manager that looks at the clock. One timer, set anew each time."""

    setup: SessionSetup
    state: SessionState
    jidoka_cell: Cell
    _is_in_doubt: bool
    _touched: float
    # The `_touched` that was warned of: once per idle period.
    _warned: float | None = None
    # The `_touched` after which it was to go idle: the journal may say so only later.
    _resting: float | None = None
    _timer: Timer | None

    if TYPE_CHECKING:

        @property
        def actor_ref(self) -> ActorRef[Any]: ...

    def start_the_clock(self) -> None:
        """Used just now."""
        self._touched = self.setup.house.world.monotonic()
        self._watch(first_look(self.setup.config))

    def stop_the_clock(self) -> None:
        """Nothing of this stays behind."""
        if self._timer is not None:
            self.jidoka_cell.system.timers.cancel(self._timer)
            self._timer = None

    def _watch(self, after: float) -> None:
        if 0 < after < SOONEST:
            # A difference of times that was rounded: too short to get away from just before the moment.
            after = SOONEST
        self._timer = self.jidoka_cell.system.timers.after(after, _look_at_the_clock, self)

    def look_at_the_clock(self) -> None:
        """Idle long enough to say so? To warn? To be suspended?"""
        config = self.setup.config
        if self._is_in_doubt:
            # Whatever comes of this, the journal is looked at again.
            self._watch(config.idle_after)
            self.actor_ref.tell(GoIdle())
            return
        if self.state.status not in WORKING:
            self._watch(config.idle_after)
            return
        if self.state.turn is not None:
            self._touched = self.setup.house.world.monotonic()
        self._act(rest_after(self.quiet, config, is_idle=self._is_idle, is_warned=self._is_warned))

    def _act(self, due: Rest) -> None:
        config = self.setup.config
        match due:
            case Rest.SUSPEND:
                self._watch(config.idle_after)
                self.setup.ask_to_suspend()
                return
            case Rest.GO_IDLE:
                self._resting = self._touched
                self.actor_ref.tell(GoIdle())
            case Rest.WARN:
                self._warn()
            case Rest.NOTHING:
                pass
        self._watch(next_look(self.quiet, config, is_idle=self._is_idle, is_warned=self._is_warned))

    def _warn(self) -> None:
        self._warned = self._touched
        hub, session_id, world = self.setup.house.hub, self.setup.session_id, self.setup.house.world
        if hub.is_heard(session_id):
            data = {"remaining_seconds": self.setup.config.suspend_after - self.quiet}
            hub.publish_live(live_event(session_id, EventType.TIMEOUT_WARNING, data, id=world.new_id(), at=world.now()))

    @property
    def quiet(self) -> float:
        """Seconds since anybody used this session."""
        return self.setup.house.world.monotonic() - self._touched

    @property
    def _is_idle(self) -> bool:
        return self.state.status is SessionStatus.IDLE or self._resting == self._touched

    @property
    def _is_warned(self) -> bool:
        return self._warned == self._touched

    def may_be_suspended(self) -> bool:
        """Whether nobody has used this session for `suspend_after` seconds, and nobody waits for anything."""
        is_at_rest = self.state.status in WORKING and self.state.turn is None
        return is_at_rest and self.quiet >= self.setup.config.suspend_after

    def may_go_idle(self) -> bool:
        """Whether nobody has used this session for `idle_after` seconds."""
        is_awake = self.state.status is SessionStatus.ACTIVE and self.state.turn is None
        return is_awake and self.quiet >= self.setup.config.idle_after


def _look_at_the_clock(actor: Clock) -> None:
    # It may have been set by an earlier incarnation.
    if cast("object", actor.jidoka_cell.actor) is actor:
        actor.look_at_the_clock()
