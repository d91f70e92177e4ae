"""Runs a command on the loop, and ends it when the process is told to: first in order, then in a hurry."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio

from jidoka.actors import current

T = TypeVar("T")


class Interrupted(Exception):
    """A signal ended the command."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"ended by {number.name}")
        self.exit_status = 128 + number


def on_the_loop(function: Callable[[], Awaitable[T]], on_interrupt: Callable[[], bool] | None = None) -> T:
    """Run `await function()`, on uvloop where it is installed. Raises Interrupted after SIGINT or SIGTERM.

    *on_interrupt* is asked first about a SIGINT: True if it was meant for what the command is doing, not for all of it.
    """
    command = Command(function, on_interrupt)
    try:
        import uvloop  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        return anyio.run(command.run)
    return anyio.run(command.run, backend_options={"use_uvloop": True})


class Command(Generic[T]):
    """One command. The first signal cancels it: what it opened is closed in order. The next kills what is left."""

    def __init__(self, function: Callable[[], Awaitable[T]], on_interrupt: Callable[[], bool] | None = None) -> None:
        self._function = function
        self._on_interrupt = on_interrupt
        self._signal: signal.Signals | None = None
        self._result: T
        self._error: Exception | None = None
        self._work: anyio.CancelScope

    async def run(self) -> T:
        self._work = anyio.CancelScope()
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, signals)
                await self._work_until_done()
                group.cancel_scope.cancel()
        if self._signal is not None:
            raise Interrupted(self._signal) from self._error
        if self._error is not None:
            raise self._error
        return self._result

    async def _work_until_done(self) -> None:
        # The error is kept, without the task groups that it has come through: more of them would wrap it.
        with self._work:
            try:
                self._result = await self._function()
            except Exception as error:
                self._error = _innermost(error)

    async def _watch(self, signals: AsyncIterator[signal.Signals]) -> None:
        async with anyio.create_task_group() as hurry:
            async for number in signals:
                if self._signal is not None:
                    for system in current.running:
                        hurry.start_soon(system.shut_down)
                elif not self._is_taken(number):
                    self._signal = number
                    self._work.cancel()

    def _is_taken(self, number: signal.Signals) -> bool:
        return number == signal.SIGINT and self._on_interrupt is not None and self._on_interrupt()


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error
