"""How often a cycle asks again, what is not worth asking again, and how long it waits before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from jidoka.actors.errors import CallTimeout, MailboxFull
from jidoka.actors.restarts import Backoff
from jidoka.core import checks
from jidoka.core.errors import StorageFull, StoreUnavailable

if TYPE_CHECKING:
    from jidoka.ports.world import World

T = TypeVar("T")

_AWAY: Final = (StoreUnavailable, StorageFull, CallTimeout, MailboxFull)

FINAL: Final = frozenset(
    {
        "turn_cancelled",
        "unauthorized",
        "no_api_key",
        "not_configured",
        "not_installed",
        "quota_exceeded",
        "model_not_found",
        "context_too_long",
        "filtered",
        "rejected",
        "budget_exceeded",
    }
)
"""Reasons that are the same a minute later: a person's no, or a provider's."""


@dataclass(frozen=True, slots=True)
class Retry:
    """So many attempts in all. A provider that says when to come back is believed, up to the longest wait."""

    attempts: int = 3
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, maximum=60.0))

    def __post_init__(self) -> None:
        checks.count(self.attempts, field="attempts", least=1, most=100)

    def delay(self, failures: int, chance: float, retry_after: float | None = None) -> float:
        """Seconds to wait after *failures* attempts; *chance* is in [0, 1)."""
        wait = self.backoff.delay(failures, chance)
        return wait if retry_after is None else min(max(wait, retry_after), self.backoff.maximum)

    async def pause(self, world: World, failures: int, retry_after: float | None = None) -> None:
        """Wait that long."""
        await world.sleep_until(world.monotonic() + self.delay(failures, world.random(), retry_after))

    async def insist(self, world: World, call: Callable[[], Awaitable[T]]) -> T:
        """What *call* answers, which reads, or carries a key: while its store, or its session, is too busy, again."""
        failures = 0
        while True:
            try:
                return await call()
            except _AWAY:
                failures += 1
                if failures >= self.attempts:
                    raise
            await self.pause(world, failures)
