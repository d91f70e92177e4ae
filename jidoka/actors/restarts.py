"""The decisions of a supervisor, as plain functions: who comes back, who goes too, and when it is too much."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from math import floor
from typing import TYPE_CHECKING, Literal, get_args

from jidoka.actors.errors import InvalidChildSpec
from jidoka.actors.exits import ExitReason
from jidoka.actors.specs import Restart, is_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]


class Verdict(Enum):
    """What follows the exit of a child."""

    START_AGAIN = auto()
    KEEP_STOPPED = auto()
    FORGET = auto()


def judge(restart: Restart, reason: ExitReason) -> Verdict:
    """OTP's table: permanent children always come back, transient ones after an abnormal end, temporary ones never."""
    if restart == "temporary":
        return Verdict.FORGET
    if restart == "permanent" or not reason.is_clean:
        return Verdict.START_AGAIN
    return Verdict.KEEP_STOPPED


def affected(strategy: Strategy, ids: Sequence[str], ended: str) -> list[str]:
    """Whom the restart of *ended* takes along, itself included, in start order."""
    if strategy == "one_for_one":
        return [ended]
    if strategy == "one_for_all":
        return list(ids)
    return list(ids[ids.index(ended) :])


class Budget:
    """At most *max_restarts* in any *within* seconds, on a monotonic clock: an exact sliding window.

    *strict* counts whole seconds inclusively, as OTP does.
    """

    __slots__ = ("_spent", "max_restarts", "strict", "within")

    def __init__(self, max_restarts: int, within: float, *, strict: bool = False) -> None:
        self.max_restarts = max_restarts
        self.within = within
        self.strict = strict
        self._spent: deque[float] = deque()

    def spend(self, now: float) -> bool:
        """Use one restart. False when that is one too many."""
        spent = self._spent
        if self.strict:
            now = floor(now)
        spent.append(now)
        while now - spent[0] > self.within:
            spent.popleft()
        return len(spent) <= self.max_restarts


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before starting a child again that did not come up.

    The first try is immediate; the n-th wait is `base * factor**(n-1)` seconds, at most `maximum`, shortened by up to
    the fraction `jitter`.
    """

    base: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if not (is_seconds(self.base) and is_seconds(self.maximum) and is_seconds(self.factor)):
            raise InvalidChildSpec(f"backoff cannot be {self}")
        if self.factor < 1 or not (is_seconds(self.jitter) and self.jitter <= 1):
            raise InvalidChildSpec(f"backoff cannot be {self}")

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after *failures* starts in a row have failed; *chance* is in [0, 1)."""
        if failures <= 0:
            return 0.0
        wait = min(self.maximum, self.base * self.factor ** min(failures - 1, 64))
        return wait * (1 - self.jitter * chance)


NO_BACKOFF = Backoff(base=0.0, maximum=0.0, jitter=0.0)


def check_options(strategy: object, max_restarts: object, within: object, auto_shutdown: object) -> None:
    """Refuse options that cannot be right. Raises InvalidChildSpec."""
    if strategy not in get_args(Strategy):
        raise InvalidChildSpec(f"strategy is one of {', '.join(get_args(Strategy))}, not {strategy!r}")
    if isinstance(max_restarts, bool) or not isinstance(max_restarts, int) or max_restarts < 0:
        raise InvalidChildSpec(f"max_restarts is a whole number from 0, not {max_restarts!r}")
    if not is_seconds(within) or within == 0:
        raise InvalidChildSpec(f"within is more than 0 seconds, not {within!r}")
    if auto_shutdown not in get_args(AutoShutdown):
        raise InvalidChildSpec(f"auto_shutdown is one of {', '.join(get_args(AutoShutdown))}, not {auto_shutdown!r}")
