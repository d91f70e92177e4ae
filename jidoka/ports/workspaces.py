"""Directories that sessions work in, as their actors and clients see them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from jidoka.core.workspaces import Look

Stamp = tuple[int, ...]
"""Equal as long as a file is the same one and nobody has written to it."""


@dataclass(frozen=True, slots=True)
class FileText:
    """A file as it was when it was read. `content` is None when it is the one that the caller knows."""

    content: str | None
    stamp: Stamp
    is_settled: bool
    """Whether a later change is bound to show in the stamp. False just after one: clocks of file systems are coarse."""


class Watch(Protocol):
    """One workspace while somebody looks after it."""

    async def look(self, known: Collection[str]) -> Look:
        """What has changed since the last look; everything, the first time and whenever that cannot be told.

        *known* paths are looked at though they are ignored or too many. Raises WorkspaceUnavailable.
        """
        ...

    async def changed(self) -> None:
        """Return when there is, or may be, something to look at."""
        ...


class Workspaces(Protocol):
    """The directories of this house. Nothing outside of them can be reached, whatever a path says."""

    async def check(self, root: str) -> None:
        """Raises WorkspaceUnavailable unless *root* is a directory that may be a workspace."""
        ...

    async def read(self, root: str, path: str, *, known: Stamp | None = None) -> FileText:
        """The text of a file. Raises InvalidPath, FileUnreadable, WorkspaceUnavailable."""
        ...

    def watching(self, root: str) -> AbstractAsyncContextManager[Watch]:
        """Look after *root* while the block runs. Raises WorkspaceUnavailable."""
        ...
