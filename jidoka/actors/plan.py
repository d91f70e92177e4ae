"""Ends, then starts, strictly one after another: how a supervisor comes up, restarts a group, and goes down.

A plan goes on by itself when the child it waits for has answered; nobody is blocked meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jidoka.actors.exits import Ignore

if TYPE_CHECKING:
    from jidoka.actors.children import Child

Stop = Callable[["Child", Callable[[], object]], object]
Start = Callable[["Child", Callable[[BaseException | None], object]], object]
Done = Callable[["Child | None", "BaseException | None"], object]


class Plan:
    """*stops* are ended from the last to the first, then *starts* are started from the first to the last.

    *done* hears `(None, None)` at the end, or the child whose start failed, with its error. A child that
    ignores its start is not a failure.
    """

    __slots__ = (
        "_current",
        "_done",
        "_is_cancelled",
        "_is_stepping",
        "_is_waiting",
        "_start",
        "_stop",
        "starts",
        "stops",
    )

    def __init__(
        self, stops: Sequence[Child], starts: Sequence[Child], *, stop: Stop, start: Start, done: Done
    ) -> None:
        self.stops = list(stops)
        self.starts = list(reversed(starts))
        self._stop = stop
        self._start = start
        self._done = done
        # The child whose start is under way.
        self._current: Child | None = None
        self._is_waiting = False
        self._is_stepping = False
        self._is_cancelled = False

    def cancel(self) -> None:
        """Take no further step, and tell nobody."""
        self._is_cancelled = True

    def covers(self, child: Child) -> bool:
        """Whether *child*'s turn is still to come."""
        return child in self.starts or child in self.stops

    def drop(self, child: Child) -> None:
        """*child* is not the plan's business any more."""
        for those in (self.starts, self.stops):
            if child in those:
                those.remove(child)

    def go(self) -> None:
        """Take steps until one has to be waited for."""
        if self._is_stepping or self._is_cancelled:
            return
        self._is_stepping = True
        while not self._is_waiting and not self._is_cancelled:
            if self.stops:
                self._is_waiting = True
                self._stop(self.stops.pop(), self._stopped)
            elif self.starts:
                self._is_waiting = True
                self._current = self.starts.pop()
                self._start(self._current, self._started)
            else:
                self._is_waiting = True
                self._is_stepping = False
                self._done(None, None)
                return
        self._is_stepping = False

    def _stopped(self) -> None:
        self._is_waiting = False
        self.go()

    def _started(self, error: BaseException | None) -> None:
        if self._is_cancelled:
            return
        if error is not None:
            child = self._current
            assert child is not None
            # A child that somebody ended while it was coming up is no failure of the plan.
            if not child.held and not isinstance(error, Ignore):
                self._done(child, error)
                return
        self._is_waiting = False
        self.go()
