"""Pykka's future, for `ask` and proxies: `get()` blocks other threads, `await` really suspends on the loop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

import pykka

from jidoka.actors import current
from jidoka.actors.backend import Backend
from jidoka.actors.errors import WouldDeadlock

T = TypeVar("T")


class Future(pykka.ThreadingFuture[T]):
    """A value that is there now or later. See `pykka.Future` for map, filter, join and reduce."""

    def __init__(self) -> None:
        super().__init__()
        self._then: list[Callable[[], object]] = []
        self._sources: tuple[pykka.Future[Any], ...] = ()

    def done(self) -> bool:
        """Whether there is a value, or an error."""
        return self._result is not None

    def get(self, *, timeout: float | None = None) -> Any:
        """The value; other threads wait for it. On an actor system's own thread it must be there already.

        Raises `pykka.Timeout`, WouldDeadlock, and whatever the actor raised.
        """
        if self._result is None and self._get_hook is None and timeout != 0 and _on_a_systems_thread():
            raise WouldDeadlock("get() would block the event loop that has to make the value: use await")
        return super().get(timeout=timeout)

    def set(self, value: Any = None) -> None:
        super().set(value)
        self._tell()

    def set_result(self, value: Any) -> None:
        """`set`, by the name that slots have."""
        self.set(value)

    def set_exception(self, exc_info: Any = None) -> None:
        """Take an exception, Pykka's exc_info triple, or the exception being handled."""
        if isinstance(exc_info, BaseException):
            exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        super().set_exception(exc_info or sys.exc_info())
        self._tell()

    def _tell(self) -> None:
        with self._condition:
            calls, self._then = self._then, []
        for call in calls:
            call()

    def when_done(self, call: Callable[[], object]) -> None:
        """Call *call* once there is a value, in the thread that sets it; now if it is there."""
        with self._condition:
            if self._result is None:
                self._then.append(call)
                return
        call()

    def map(self, func: Callable[[Any], Any]) -> Any:
        return self._derived(super().map(func))

    # Pykka gives these two a `self` that holds an iterable, which `super()` cannot be said to be.

    def filter(self, func: Callable[[Any], bool]) -> Any:
        return self._derived(cast("Any", super()).filter(func))

    def reduce(self, func: Callable[[Any, Any], Any], *args: Any) -> Any:
        return self._derived(cast("Any", super()).reduce(func, *args))

    def join(self, *futures: pykka.Future[Any]) -> Any:
        return self._derived(super().join(*futures), *futures)

    def _derived(self, made: Any, *others: pykka.Future[Any]) -> Any:
        made._sources = (self, *others)
        return made

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._settled().__await__()
        return self.get()

    __iter__ = __await__

    async def _settled(self) -> None:
        for source in self._sources:
            if isinstance(source, Future):
                await source._settled()
        if self._get_hook is None and self._result is None:
            backend = Backend()
            slot = backend.new_slot()

            def wake() -> None:
                # The awaiter may have given up, and its loop may have gone with it.
                with suppress(RuntimeError):
                    backend.post(lambda: None if slot.done() else slot.set_result(None))

            self.when_done(wake)
            await slot


def _on_a_systems_thread() -> bool:
    return any(system.is_here for system in current.running)
