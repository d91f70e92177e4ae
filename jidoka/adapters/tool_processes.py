"""Calls of functions that may hang, each in a process of its own: it can be killed, and what it has started with it.

Not anyio's worker processes: they are kept for the next call, share one process group with us, and hand results over as
pickles (notes/features/tools.md).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from jidoka.adapters.waiting import in_time
from jidoka.core.tools import CallEnd, CallInfo

if TYPE_CHECKING:
    from jidoka.adapters.tool_places import Place
    from jidoka.ports.world import World

# Modules are found where this process finds them. -P: nothing is imported from the working directory before that.
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from jidoka.adapters.tool_child import main; main()"
)
_MOST_HEAD: Final = 32
_MOST_ERROR: Final = 100_000
_CLOSING: Final = 5.0
_UNREADABLE: Final = CallEnd("error", "the tool's process said nothing that can be understood")


class ToolProcesses:
    """As many at once as there is room for; whoever comes later waits, first come, first served."""

    def __init__(self, world: World, *, most: int) -> None:
        self._world = world
        self._room = anyio.CapacityLimiter(most)

    def __repr__(self) -> str:
        return f"<ToolProcesses: {self._room.borrowed_tokens} at work>"

    async def run(
        self, name: str, place: Place, arguments: Mapping[str, Any], info: CallInfo, timeout: float, most: int
    ) -> CallEnd:
        """What the call comes to. Raises TimeoutError. However it ends, no process of it is left."""
        request = {"name": name, "place": asdict(place), "arguments": arguments, "info": asdict(info), "most": most}
        line = json.dumps(request).encode() + b"\n"

        async def call() -> CallEnd:
            async with _a_child() as child:
                return await _asked(child, line, most)

        async with self._room:
            return await in_time(self._world, self._world.monotonic() + timeout, call)


@asynccontextmanager
async def _a_child() -> AsyncGenerator[Process]:
    child = await _started()
    try:
        yield child
    finally:
        # Before it is waited for: afterwards the number of its group could be somebody else's.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        with anyio.move_on_after(_CLOSING, shield=True):
            await child.aclose()


async def _started() -> Process:
    # Shielded: one that was started and that nobody knows of would be left behind.
    with anyio.CancelScope(shield=True):
        return await anyio.open_process(
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            start_new_session=True,
        )
    raise AssertionError("nothing passes a shield")


async def _asked(child: Process, line: bytes, most: int) -> CallEnd:
    assert child.stdin is not None
    assert child.stdout is not None
    answer = BufferedByteReceiveStream(child.stdout)
    try:
        await child.stdin.send(line)
        outcome, size = (await answer.receive_until(b"\n", _MOST_HEAD)).decode("ascii").split(" ")
        if outcome not in {"ok", "error"} or not size.isdecimal() or int(size) > max(most, _MOST_ERROR):
            return _UNREADABLE
        content = (await answer.receive_exactly(int(size))).decode() if int(size) else ""
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead):
        code = await child.wait()
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        return CallEnd("error", f"the tool's process ended {how} before there was a result")
    except (anyio.DelimiterNotFound, ValueError):
        return _UNREADABLE
    return CallEnd("ok" if outcome == "ok" else "error", content)
