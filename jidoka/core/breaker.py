"""A circuit breaker: who keeps failing is left alone for a while, then asked once."""

from __future__ import annotations

from collections.abc import Callable


class CircuitOpen(Exception):
    """Not asked. `retry_after`: seconds until it will be; None while somebody else is asking."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("the circuit is open" if retry_after is None else f"the circuit is open for {retry_after:g} s")
        self.retry_after = retry_after


class Passage:
    """One that was let through. It ends with `settle`, once."""

    __slots__ = ("_breaker", "is_probe")

    def __init__(self, breaker: CircuitBreaker, *, is_probe: bool) -> None:
        self._breaker = breaker
        self.is_probe = is_probe

    def answers(self) -> None:
        """There is an answer, though it is not complete: others need not wait for its end."""
        self._breaker.reopen_for(self)

    def settle(self, is_well: bool | None) -> None:
        """It went well, or failed. None: it was called off, which says nothing."""
        self._breaker.settle(self, is_well)


class CircuitBreaker:
    """Opens after *failures* in a row. After *pause* seconds of *clock* it admits exactly one, who decides."""

    def __init__(self, *, failures: int, pause: float, clock: Callable[[], float]) -> None:
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0
        self._open_until: float | None = None
        self._probe: Passage | None = None

    def __repr__(self) -> str:
        return f"<CircuitBreaker {'shut' if self._open_until is None else 'open'}: {self._failed} failed in a row>"

    def admit(self) -> Passage:
        """Raises CircuitOpen. Whoever is admitted must settle."""
        if self._open_until is None:
            return Passage(self, is_probe=False)
        left = self._open_until - self._clock()
        if left > 0 or self._probe is not None:
            raise CircuitOpen(left if left > 0 else None)
        self._probe = Passage(self, is_probe=True)
        return self._probe

    def reopen_for(self, passage: Passage) -> None:
        """A probe that is answered lets the others in; should it fail yet, that is once too often."""
        if passage is self._probe:
            self._probe, self._open_until, self._failed = None, None, self._most - 1

    def settle(self, passage: Passage, is_well: bool | None) -> None:
        """What came of *passage*. Once the circuit is open, only its probe counts."""
        is_probe = passage is self._probe
        if is_probe:
            self._probe = None
        if is_well is None or (self._open_until is not None and not is_probe):
            return
        self._failed = 0 if is_well else self._failed + 1
        opens = not is_well and (is_probe or self._failed >= self._most)
        self._open_until = self._clock() + self._pause if opens else None
