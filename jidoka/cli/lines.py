"""Lines that a person types or a pipe brings. Waiting for one holds nobody up, and whoever stops waiting loses none."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Final, Self, TextIO, cast

import anyio

from jidoka.core.checks import MAX_CONTENT

_PIECE: Final = 65_536
# Of a line without end no more is kept: enough to be refused as a message, whatever the characters.
_LONGEST: Final = 4 * (MAX_CONTENT + 1)


class Lines:
    """What comes in, line by line. One reader.

    A thread of its own reads, and hands on through a pipe that only we know. The loop could wait for stdin by itself,
    but libuv would make it non-blocking, for the shell and for our own output as well: a terminal is one file.
    """

    def __init__(self, read: Callable[[], bytes] | None, *, is_terminal: bool = False) -> None:
        """*read* waits for more and returns it, b"" at the end. None: there is nothing to be read."""
        self._read = read
        self.is_terminal = is_terminal
        """Whether somebody sits there: who may say something while nobody asks."""
        self._unread = bytearray()
        self._is_over = read is None
        self._pipe: int | None = None

    @classmethod
    def of_stdin(cls) -> Self:
        """Of this process, whatever its stdin is: a terminal, a pipe, a file, closed, or a stand-in for one."""
        # None is what Python makes of a stdin that was closed: what now has its number is something else.
        stdin = cast("TextIO | None", sys.stdin)
        if stdin is None:
            return cls(None)
        try:
            return cls.of(stdin.fileno())
        except io.UnsupportedOperation:
            return cls(lambda: stdin.readline().encode(errors="replace"))

    @classmethod
    def of(cls, fd: int) -> Self:
        """Of a file descriptor, which stays open and as it is."""
        return cls(lambda: os.read(fd, _PIECE), is_terminal=os.isatty(fd))

    async def next(self) -> str | None:
        """The next line, without its end. None after the last."""
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0 and not self._is_over:
            searched = len(self._unread)
            await self._more()
        if end < 0 and not self._unread:
            return None
        end = len(self._unread) if end < 0 else end
        line = bytes(self._unread[:end]).removesuffix(b"\r")
        del self._unread[: end + 1]
        return line.decode(errors="replace")

    async def _more(self) -> None:
        if self._pipe is None:
            self._pipe = self._start()
        await anyio.wait_readable(self._pipe)
        try:
            piece = os.read(self._pipe, _PIECE)
        except BlockingIOError:
            return
        self._is_over = not piece
        newline = piece.find(b"\n")
        if len(self._unread) + len(piece) > _LONGEST:
            kept = max(_LONGEST - len(self._unread), 0)
            piece = piece[:kept] + (piece[max(newline, kept) :] if newline >= 0 else b"")
        self._unread += piece

    def _start(self) -> int:
        ours, theirs = os.pipe()
        # A daemon: nobody can call it back from a read, and the process ends without it.
        threading.Thread(target=self._copy, args=(theirs,), name="jidoka stdin", daemon=True).start()
        return ours

    def _copy(self, into: int) -> None:
        assert self._read is not None
        with open(into, "wb", buffering=0) as pipe:
            try:
                while piece := self._read():
                    while piece:
                        piece = piece[pipe.write(piece) :]
            except OSError:
                # The terminal has gone, or whoever wanted to know.
                return

    def close(self) -> None:
        """Nothing more will be asked for."""
        self._is_over = True
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
