"""How an actor's life ends: the reasons that are kept, and the words that a handler raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jidoka.core.json_values import words_of

ExitKind = Literal["normal", "shutdown", "crash", "killed", "abandoned", "escalated"]


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why an actor ended. Text only: a stored exception would keep its frames, and all they hold, alive."""

    kind: ExitKind
    detail: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether a transient child would be left at rest."""
        return self.kind in {"normal", "shutdown"}

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


NORMAL = ExitReason("normal")
SHUTDOWN = ExitReason("shutdown")
KILLED = ExitReason("killed")


class Stop(Exception):
    """Raised by a handler: end normally."""


class Shutdown(Exception):
    """Raised by a handler: end with `shutdown`, which a transient child does not come back from."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class Ignore(Exception):
    """Raised by `on_start`: no process, and no error."""


def exit_of(error: BaseException) -> ExitReason:
    """What an exception that left a handler says about the end of its actor."""
    if isinstance(error, Stop):
        return NORMAL
    if isinstance(error, Shutdown):
        return ExitReason("shutdown", error.detail)
    return ExitReason("crash", text_of(error))


def text_of(error: BaseException) -> str:
    """What is kept of an error: text that every store can keep, even when the error's own `__str__` fails."""
    said, name = words_of(error), type(error).__name__
    return f"{name}: {said}" if said else name
