"""An HTTP server on loopback that answers as a test tells it to, faults included."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

Step = bytes | anyio.Event | str

CUT = "cut"
"""The connection ends here, as if the server had died."""
HOLD = "hold"
"""Nothing more comes; the stub waits until the client has gone."""


@dataclass
class Script:
    """One response: its head, then steps. Bytes are sent, an event is waited for."""

    steps: Iterable[Step]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"
    is_chunked: bool = True
    """Else its end is the end of the connection, which anything can be."""


def says(*steps: Step, **options: Any) -> Script:
    """A stream of events."""
    return Script(steps, **options)


def refuses(status: int, body: Any, **headers: str) -> Script:
    """An error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Script([json.dumps(body).encode()], status=status, headers=named, content_type="application/json")


@dataclass
class Seen:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def keys(self) -> set[str]:
        """The keys that came with it."""
        sent = (self.headers.get(name) for name in ("authorization", "x-api-key"))
        return {key.removeprefix("Bearer ") for key in sent if key}


class Stub:
    """Each request takes one script; the last is repeated."""

    def __init__(self, scripts: Iterable[Script]) -> None:
        self.scripts = deque(scripts)
        self.seen: list[Seen] = []
        self.port = 0
        self.asked = anyio.Event()
        """Set by the first request."""
        self.left = anyio.Event()
        """Set when a client has gone in the middle of a response."""
        self._connected = 0
        self._changed = anyio.Event()

    def url(self, base: str = "/v1") -> str:
        return f"http://127.0.0.1:{self.port}{base}"

    async def nobody(self) -> None:
        """Wait until nobody is connected."""
        while self._connected:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def serve(self, stream: SocketStream) -> None:
        self._connected += 1
        async with stream:
            try:
                await self._serve(stream)
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
                self.left.set()
            finally:
                self._connected -= 1
                self._changed.set()

    async def _serve(self, stream: SocketStream) -> None:
        incoming = BufferedByteReceiveStream(stream)
        while True:
            try:
                head = (await incoming.receive_until(b"\r\n\r\n", 100_000)).decode("latin-1")
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await incoming.receive_exactly(int(headers.get("content-length", 0)))
            self.seen.append(Seen(first.split(" ")[1], headers, json.loads(body or b"{}")))
            script = self.scripts[0] if len(self.scripts) == 1 else self.scripts.popleft()
            self.asked.set()
            if not await self._play(script, stream, incoming):
                return

    async def _play(self, script: Script, stream: SocketStream, incoming: BufferedByteReceiveStream) -> bool:
        """Whether the connection can be used again."""
        ending = {"Transfer-Encoding": "chunked"} if script.is_chunked else {"Connection": "close"}
        headers = {"Content-Type": script.content_type, **ending, **script.headers}
        lines = [f"HTTP/1.1 {script.status} Stub", *(f"{name}: {value}" for name, value in headers.items())]
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        for step in script.steps:
            if step == CUT:
                return False
            if step == HOLD:
                await incoming.receive()
                raise anyio.EndOfStream
            if isinstance(step, anyio.Event):
                await step.wait()
            elif isinstance(step, bytes):
                await stream.send(f"{len(step):x}\r\n".encode() + step + b"\r\n" if script.is_chunked else step)
        if script.is_chunked:
            await stream.send(b"0\r\n\r\n")
        return script.is_chunked


@asynccontextmanager
async def a_stub(*scripts: Script) -> AsyncIterator[Stub]:
    """A stub that listens, and is gone afterwards."""
    stub = Stub(scripts)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        stub.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, stub.serve)
            yield stub
            tasks.cancel_scope.cancel()
