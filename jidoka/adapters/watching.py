"""The operating system's word that something in a few directories has changed: one thread for each who listens.

`watchfiles` (extra `watch`) tells what; only directories that are named are registered, not what lies below them, so
that ignored trees cost nothing. What it says is a hint: whoever hears it looks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

if TYPE_CHECKING:
    from jidoka.actors.backend import Backend, Slot

# Milliseconds: changes that follow each other within a step are told together, at the latest after the longest.
STEP: Final = 50
LONGEST: Final = 1_000
# So often the thread looks whether the root is still the directory that it was.
TIMEOUT: Final = 10_000

HOW_TO_INSTALL: Final = "changes are looked for every few seconds; to hear of them: pip install 'jidoka[watch]'"


class CannotWatch(Exception):
    """The operating system, or a missing package, does not let us. The text says why."""


class DirectoryGone(CannotWatch):
    """One of the directories is not there any more."""


class Notifier(Protocol):
    """What we use of `watchfiles`' `RustNotify`."""

    def watch(self, debounce_ms: int, step_ms: int, timeout_ms: int, stop_event: Any) -> Any: ...


NewNotifier = Callable[[list[str]], AbstractContextManager[Notifier]]


def rust_notifier(directories: list[str]) -> AbstractContextManager[Notifier]:
    """`watchfiles` on *directories*, each without those below it. Raises CannotWatch, DirectoryGone."""
    try:
        # Used directly, as its documentation shows: `awatch` registers on the event loop, keeps a thread of everybody's
        # limiter, and takes seconds to be cancelled.
        from watchfiles._rust_notify import RustNotify  # pyright: ignore[reportPrivateUsage]
    except ImportError as error:
        raise CannotWatch(HOW_TO_INSTALL) from error
    try:
        # Not debugging, not polling, every 300 ms if it has to, not recursive, not silent about what is denied.
        return RustNotify(directories, False, False, 300, False, False)
    except FileNotFoundError as error:
        raise DirectoryGone(str(error)) from error
    except (OSError, RuntimeError) as error:
        raise CannotWatch(
            f"changes are looked for every few seconds, because they cannot be watched: {error}"
        ) from error


class SystemWatcher:
    """Listens to *directories* below *root* until it is closed. On the loop *heard* is told which paths have changed;
    None: anything may have."""

    def __init__(
        self,
        root: str,
        directories: Sequence[str],
        *,
        backend: Backend,
        heard: Callable[[frozenset[str] | None], object],
        new_notifier: NewNotifier = rust_notifier,
    ) -> None:
        self.directories = frozenset(directories)
        self.is_over = False
        self._root = root
        self._backend = backend
        self._heard = heard
        self._new_notifier = new_notifier
        self._stop = Event()
        self._ready: Slot = backend.new_slot()
        self._ended: Slot = backend.new_slot()
        self._thread = Thread(target=self._run, name="jidoka-watch", daemon=True)

    async def start(self) -> None:
        """Every change after this is heard. Raises CannotWatch."""
        self._thread.start()
        try:
            await self._ready
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the thread, which takes a step."""
        self._stop.set()
        with anyio.CancelScope(shield=True):
            if not self._ended.done():
                await self._ended
        # It has said its last word.
        self._thread.join()

    # --- on the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        identity = _identity(self._root)
        try:
            with self._new_notifier(
                [f"{self._root}/{name}" if name else self._root for name in self.directories]
            ) as it:
                self._post(lambda: _settle(self._ready))
                self._listen(it, identity)
        except Exception as error:
            # Also a name that is no text: whoever looks finds out, and begins again.
            failure = error if isinstance(error, CannotWatch) else CannotWatch(str(error))
            self._post(lambda: self._fail(failure))
        finally:
            self._post(lambda: _settle(self._ended))

    def _listen(self, notifier: Notifier, identity: Any) -> None:
        while not self._stop.is_set():
            changes = notifier.watch(LONGEST, STEP, TIMEOUT, self._stop)
            if isinstance(changes, set):
                self._tell(self._relative(changes))  # pyright: ignore[reportUnknownArgumentType]
            elif changes == "timeout" and _identity(self._root) != identity:
                self._tell(None)

    def _relative(self, changes: set[tuple[int, str]]) -> frozenset[str] | None:
        prefix = f"{self._root}/"
        paths = frozenset(path.removeprefix(prefix) for _, path in changes)
        return None if self._root in paths or not all(map(str, paths)) else paths

    def _tell(self, paths: frozenset[str] | None) -> None:
        if not self._stop.is_set():
            self._post(lambda: self._heard(paths))

    def _post(self, function: Callable[[], object]) -> None:
        # The loop may be gone, and with it whoever listened.
        with suppress(RuntimeError):
            self._backend.post(function)

    # --- on the loop --------------------------------------------------------------------------------

    def _fail(self, failure: CannotWatch) -> None:
        self.is_over = True
        if not self._ready.done():
            self._ready.set_exception(failure)
        elif not self._stop.is_set():
            self._heard(None)


def _settle(slot: Slot) -> None:
    if not slot.done():
        slot.set_result(None)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
