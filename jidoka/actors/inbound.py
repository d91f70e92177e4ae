"""The one door for other threads: queue what they send, and wake the loop without waiting for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jidoka.actors.errors import ActorDead, MailboxFull
from jidoka.actors.mailbox import ActorStop

if TYPE_CHECKING:
    from jidoka.actors.backend import Backend
    from jidoka.actors.cell import Cell
    from jidoka.actors.scheduler import Scheduler


class Inbound:
    """Keeps the order in which each thread sent."""

    __slots__ = ("_backend", "_is_woken", "_scheduler", "_waiting")

    def __init__(self, backend: Backend, scheduler: Scheduler) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_woken = False

    def push(self, cell: Cell, message: Any, slot: Any) -> None:
        """Send *message*, or refuse it here and now: ActorDead, MailboxFull. What is still on its way counts."""
        if not cell.is_open:
            raise ActorDead(f"{cell.ref} not found")
        waiting = cell.mail_count + len(self._waiting)
        if waiting >= cell.cls.mailbox_capacity and type(message) is not ActorStop:
            raise MailboxFull(f"{waiting} messages wait for {cell.ref}")
        self.add(_deliver, cell, message, slot)

    def add(self, call: Callable[..., object], *args: Any) -> None:
        """Have a worker call *call*, after everything that this thread has sent before."""
        self._waiting.append((call, args))
        if not self._is_woken:
            self._is_woken = True
            # A thread that was left behind may outlive the loop: then there is nobody to tell.
            with suppress(RuntimeError):
                self._backend.post(lambda: self._scheduler.add(self))

    def run(self) -> None:
        """Do what has come in."""
        self._is_woken = False
        waiting = self._waiting
        for _ in range(len(waiting)):
            call, args = waiting.popleft()
            call(*args)


def _deliver(cell: Cell, message: Any, slot: Any) -> None:
    try:
        cell.admit(message, slot)
    except ActorDead as error:
        if slot is not None and not slot.done():
            slot.set_exception(error)
