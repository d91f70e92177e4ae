"""A stub that other processes are to reach: it runs on a thread of its own."""

from collections.abc import Generator
from contextlib import contextmanager

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.stubs.server import Script, Stub, a_stub


class Gate:
    """A step of a script that waits until it is opened."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self.step: anyio.Event = portal.call(anyio.Event)

    def open(self) -> None:
        """Let the script go on."""
        self._portal.call(self.step.set)


@contextmanager
def a_portal() -> Generator[BlockingPortal]:
    """The thread."""
    with start_blocking_portal() as portal:
        yield portal


@contextmanager
def a_stub_beside(portal: BlockingPortal, *scripts: Script) -> Generator[Stub]:
    """A stub that listens, and is gone afterwards."""
    with portal.wrap_async_context_manager(a_stub(*scripts)) as stub:
        yield stub
