"""How a supervisor decides: its options, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jidoka.actors.errors import InvalidChildSpec
from jidoka.actors.restarts import NO_BACKOFF, AutoShutdown, Backoff, Budget, Strategy, check_options

DEFAULT_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class Policy:
    """How a supervisor decides. Checked when it is made: raises InvalidChildSpec.

    `budget` says who shares `max_restarts`: all children of the supervisor (OTP), or each child its own.
    `otp_strict` takes back jidoka's deviations: whole-second windows, no backoff, one shared budget, explicit stops
    that a group restart undoes, and giving up counted as a clean shutdown.
    """

    strategy: Strategy = "one_for_one"
    max_restarts: int = 1
    within: float = 5.0
    auto_shutdown: AutoShutdown = "never"
    backoff: Backoff | None = None
    budget: Literal["supervisor", "child"] = "supervisor"
    otp_strict: bool = False

    def __post_init__(self) -> None:
        check_options(self.strategy, self.max_restarts, self.within, self.auto_shutdown)
        if self.budget not in ("supervisor", "child"):
            raise InvalidChildSpec(f"budget is supervisor or child, not {self.budget!r}")

    @property
    def waits(self) -> Backoff:
        return NO_BACKOFF if self.otp_strict else self.backoff or DEFAULT_BACKOFF

    def new_budget(self) -> Budget:
        return Budget(self.max_restarts, self.within, strict=self.otp_strict)


def policy_of(options: dict[str, Any]) -> Policy:
    """The policy that *options* describe. Raises InvalidChildSpec."""
    known = set(Policy.__slots__)
    for key in options:
        if key not in known:
            raise InvalidChildSpec(f"a supervisor has no option {key!r}")
    return Policy(**options)
