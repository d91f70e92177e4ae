"""What a library must do to be measured: sessions on one file, or on one server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

Message = tuple[str, str]
"""A role, user or assistant, and a text."""
WINDOW = 50
"""How many of the newest messages a turn looks at."""
NUMBER = 1_000_003


class Backend:
    """One library's way to keep sessions, as its documentation recommends it.

    A *session* is whatever the library holds in its hands to use one. What `create`, `add` and `delete` have done is
    durable when they return, as far as the library promises that.
    """

    conflicts: tuple[type[Exception], ...] = ()
    """What it raises when somebody else has written meanwhile."""
    is_filled_as_written = True
    """Whether `fill` leaves the file as many calls of `add` would."""

    def __init__(self, place: str, *, normal: bool = False) -> None:
        self.place = place
        """A path, or a URL."""
        self.normal = normal
        """A commit survives the process and not the power: `synchronous=NORMAL`."""

    async def open(self) -> None:
        """Get ready; a file that is there is used."""

    async def close(self) -> None:
        """Let go of everything."""

    async def create(self, session_id: str) -> Any:
        """A new session, stored."""
        raise NotImplementedError

    async def find(self, session_id: str) -> Any:
        """A session that is stored."""
        raise NotImplementedError

    async def add(self, session: Any, messages: Sequence[Message]) -> None:
        """Append *messages*, in one commit where that can be asked for."""
        raise NotImplementedError

    async def recent(self, session: Any, count: int) -> Sequence[Any]:
        """The newest *count* messages, oldest first, as the library hands them out."""
        raise NotImplementedError

    async def everything(self, session: Any) -> Sequence[Any]:
        """All messages of the session."""
        raise NotImplementedError

    async def turn(self, session: Any, pair: Sequence[Message]) -> None:
        """What a turn does besides the model: look at the newest messages, append a question and its answer."""
        await self.recent(session, WINDOW)
        await self.add(session, pair)

    async def delete(self, session: Any) -> None:
        """Delete the session and its messages."""
        raise NotImplementedError

    async def page(self, number: int, cursor: Any) -> tuple[int, Any]:
        """List a hundred sessions, page *number*, which begins at *cursor*: how many, and the next cursor."""
        raise NotImplementedError

    async def fill(self, sessions: Mapping[str, Sequence[Message]]) -> None:
        """Store whole sessions quickly, for the others to be measured. Nobody measures this."""
        for session_id, messages in sessions.items():
            await self.add(await self.create(session_id), messages)

    @staticmethod
    def text(message: Any) -> str:
        """What one of the messages that it handed out says."""
        return message


Backends = Callable[..., Backend]


@asynccontextmanager
async def opened(backend: Backend) -> AsyncIterator[Backend]:
    """The backend, ready; closed in the end."""
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def new_file() -> str:
    """A path where nothing is yet, in a directory of its own."""
    return str(Path(mkdtemp(prefix="durable-")) / "sessions.db")


def size_of(path: str) -> int:
    """Bytes of a database with all that belongs to it."""
    return sum(file.stat().st_size for file in Path(path).parent.glob(f"{Path(path).name}*"))


def session_ids(count: int, *, seed: int = 0) -> Iterable[str]:
    """Ids as they are made up, the same every time. Not in order: that is what makes an index work."""
    return (f"session_{((number + seed) * NUMBER * 0x9E3779B97F4A7C15) % (1 << 128):032x}" for number in range(count))


def bytes_written() -> int:
    """What this process has handed to the system to be written, its threads included. 0 where nobody counts."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("wchar"))
    except OSError:
        return 0


def open_files() -> int:
    """How many file descriptors this process holds. 0 where nobody says."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
