"""An actor system on a thread of its own, for programs that block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from jidoka.actors.system import ActorSystem

if TYPE_CHECKING:
    from jidoka.actors.actor import Actor
    from jidoka.actors.ref import ActorRef
    from jidoka.actors.supervisor_ref import SupervisorRef

A = TypeVar("A", bound="Actor")
T = TypeVar("T")


class ThreadedSystem:
    """The blocking side of a system that runs on another thread. Inside it, Pykka's `cls.start()` works."""

    def __init__(self, system: ActorSystem, portal: BlockingPortal) -> None:
        self.system = system
        self._portal = portal

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run `await function(*args)` on the system's loop, and wait for it here."""
        return self._portal.call(function, *args)

    def start(self, cls: type[A], *args: Any, **kwargs: Any) -> ActorRef[A]:
        """`ActorSystem.start`, blocking."""
        return self.run(lambda: self.system.start(cls, *args, **kwargs))

    def supervise(self, children: Any, **options: Any) -> SupervisorRef:
        """`ActorSystem.supervise`, blocking."""
        return self.run(lambda: self.system.supervise(children, **options))

    def supervise_dynamic(self, template: Any, **options: Any) -> SupervisorRef:
        """`ActorSystem.supervise_dynamic`, blocking."""
        return self.run(lambda: self.system.supervise_dynamic(template, **options))


@contextmanager
def threaded(name: str) -> Generator[ThreadedSystem]:
    """Run a system on a background thread for as long as the block lasts."""
    system = ActorSystem(name=name)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(system):
        yield ThreadedSystem(system, portal)
