"""The few things that asyncio and trio do differently: one-shot answers, and a door for other threads."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from typing import Any, Protocol, cast

import anyio
from anyio.lowlevel import current_token


class Slot(Protocol):
    """A place for one answer, with at most one waiter. asyncio's own Future is one."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class EventSlot:
    """The slot for loops that have no future of their own."""

    __slots__ = ("_done", "_error", "_event", "_result")

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._event: anyio.Event | None = None

    def done(self) -> bool:
        return self._done

    def set_result(self, result: Any, /) -> None:
        self._result = result
        self._finish()

    def set_exception(self, exception: BaseException, /) -> None:
        self._error = exception
        self._finish()

    def _finish(self) -> None:
        self._done = True
        if self._event is not None:
            self._event.set()

    async def _wait(self) -> None:
        self._event = anyio.Event()
        try:
            await self._event.wait()
        finally:
            self._done = True

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._done:
            yield from self._wait().__await__()
        if self._error is not None:
            raise self._error
        return self._result


Post = Callable[[Callable[[], object]], object]


class Backend:
    """What the running loop offers. Made on the loop, used by whoever holds it."""

    __slots__ = ("is_asyncio", "new_slot", "post")

    def __init__(self) -> None:
        native = cast("Any", current_token().native_token)
        self.is_asyncio = isinstance(native, asyncio.AbstractEventLoop)
        self.new_slot: Callable[[], Slot] = native.create_future if self.is_asyncio else EventSlot
        # Runs a function on the loop, soon, without waiting for it. Safe from any thread.
        self.post: Post = native.call_soon_threadsafe if self.is_asyncio else native.run_sync_soon

    def is_being_cancelled(self) -> bool:
        """Whether the running task really is being cancelled; a handler may raise a cancellation by itself."""
        if anyio.current_effective_deadline() == -math.inf:
            return True
        if not self.is_asyncio:
            return False
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
