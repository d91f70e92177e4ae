"""What can go wrong between actors. They live here because two of them are Pykka's errors too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from jidoka.core.errors import JidokaError

if TYPE_CHECKING:
    from jidoka.actors.exits import ExitReason


class ActorDead(JidokaError, pykka.ActorDeadError):
    """The actor is gone, or went before it answered. `reason` tells how, when it is known."""

    def __init__(self, text: str, *, reason: ExitReason | None = None) -> None:
        super().__init__(text)
        self.reason = reason

    @property
    def abandoned(self) -> bool:
        """Whether its code may still be running, behind a fence."""
        return self.reason is not None and self.reason.kind == "abandoned"


class ActorRestarted(JidokaError):
    """The actor crashed before it answered and is being started again. Whether the message took effect is unknown.

    `reason` tells how it ended, when that is known. `was_handled` is true when it was this very message that the
    actor had in hand, and not one that waited behind it. `dead_letter` is the id of the letter that a message became
    which crashed its actor again and again: it took no effect, and is not tried any more.
    """

    def __init__(
        self,
        text: str,
        *,
        reason: ExitReason | None = None,
        was_handled: bool = False,
        dead_letter: str | None = None,
    ) -> None:
        super().__init__(text)
        self.reason = reason
        self.was_handled = was_handled
        self.dead_letter = dead_letter


class CallTimeout(JidokaError, TimeoutError, pykka.Timeout):
    """No answer in time. The actor lives; an answer that comes later is dropped."""


class MailboxFull(JidokaError):
    """The actor's mailbox is at its bound. Try later."""


class WouldDeadlock(JidokaError, RuntimeError):
    """Waiting here can never end: the waiter is the one that would have to answer."""


class InvalidChildSpec(JidokaError, ValueError):
    """A child spec, or a supervisor's options, cannot be right. Nothing was started."""


class ChildNotFound(InvalidChildSpec, LookupError):
    """The supervisor has no child of that id."""


class ChildStartError(JidokaError):
    """A child did not come up, or an operation does not fit its state.

    `child_id` names it; `reason` is text, or one of already_started, already_present, running, restarting,
    max_children, shutdown, timeout. `ref` is the one that runs already, if there is one.
    """

    def __init__(self, child_id: str, reason: str, *, ref: Any = None) -> None:
        super().__init__(f"child {child_id!r}: {reason}")
        self.child_id = child_id
        self.reason = reason
        self.ref = ref
