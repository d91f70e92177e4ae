"""Short words for calls of tools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

from jidoka.adapters.toolbox import Toolbox
from jidoka.core.tools import CallEnd, CallInfo, ToolLimits
from jidoka.ports.world import SystemWorld, World

INFO = CallInfo("session_1", "turn_1", "call_1", "key_1")
# Far more than anything here takes: only a hang is as slow.
PATIENCE = 30


def a_box(*tools: Any, world: World | None = None, **limits: Any) -> Toolbox:
    return Toolbox(tools, limits=ToolLimits(**limits), world=world or SystemWorld())


async def call(box: Toolbox, name: str, **arguments: Any) -> CallEnd:
    tool = box.chosen({"tools": [name]})[name]
    return await tool.run(arguments, INFO)


class Outcome:
    """A call that is under way."""

    def __init__(self) -> None:
        self.end: CallEnd | None = None
        self.scope = anyio.CancelScope()

    async def of(self, box: Toolbox, name: str, arguments: dict[str, Any]) -> None:
        with self.scope:
            self.end = await call(box, name, **arguments)


class Line:
    """Where tools call their test. `gone` returns when nobody is left who holds the other end."""

    def __init__(self) -> None:
        self.port = 0
        self._streams, self._found = anyio.create_memory_object_stream[SocketStream](10)

    async def accept(self, stream: SocketStream) -> None:
        await self._streams.send(stream)

    async def begun(self) -> SocketStream:
        """The next one who calls."""
        with anyio.fail_after(PATIENCE):
            stream = await self._found.receive()
            assert await stream.receive() == b"here"
            return stream

    async def gone(self, stream: SocketStream) -> None:
        with anyio.fail_after(PATIENCE):
            try:
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.aclose()
                return
        raise AssertionError("somebody is there yet")


@asynccontextmanager
async def a_line() -> AsyncIterator[Line]:
    line = Line()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        line.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks, line._streams, line._found:
            tasks.start_soon(listener.serve, line.accept)
            yield line
            tasks.cancel_scope.cancel()
