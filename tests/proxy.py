"""A TCP proxy that breaks connections on purpose.

Its threads are its own: code under test that holds up an event loop does not hold up the proxy.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

CHUNK = 65536
# Closing with this option sends a reset instead of a farewell.
RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """Between a client and the server at *upstream*. Its port stays the same.

    latency            seconds by which every piece of data is late, each way; on connections that are there as well
    silence()          a black hole: whatever is under way arrives only after `heal()`, as after a broken cable
    half_open()        the server is told that the client has gone, and the client nothing
    reset()            every connection is reset now
    refuse()           no new connections, and the old ones are reset
    cut_after(n)       each connection is reset after n more bytes of answers
    lose_answer(to=…)  the next request with these bytes reaches the server; its answer is lost, with the connection
    heal()             none of it any more
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.latency = 0.0
        self.accepted = 0
        self.lost = threading.Event()
        """Set once `lose_answer` has lost its answer."""
        self.port = 0
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._passable = threading.Event()
        self._passable.set()
        self._to_lose: bytes | None = None
        self._listener: socket.socket | None = None

    def __repr__(self) -> str:
        return f"<FaultProxy {self.port} to {self.upstream}: {len(self._links)} connections>"

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.heal(listen=False)

    @property
    def connections(self) -> int:
        return len(self._links)

    # --- faults ---------------------------------------------------------------------------------

    def silence(self) -> None:
        self._passable.clear()

    def half_open(self) -> None:
        for link in self._all():
            link.forget_server()

    def reset(self) -> None:
        for link in self._all():
            link.reset()

    def refuse(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone would not wake the thread that waits in it.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.reset()

    def cut_after(self, answer_bytes: int) -> None:
        for link in self._all():
            link.allowance = answer_bytes

    def lose_answer(self, *, to: bytes = b"") -> None:
        self.lost.clear()
        self._to_lose = to

    def heal(self, *, listen: bool = True) -> None:
        self.latency = 0.0
        self._to_lose = None
        for link in self._all():
            link.allowance = None
        self._passable.set()
        if listen and self._listener is None:
            self._listen()

    # --- inside ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        _in_thread(lambda: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                _close(client, abruptly=True)
                continue
            with self._lock:
                self._links.add(link := _Link(client, server))
            for pump in (self._requests, self._answers):
                _in_thread(lambda pump=pump, link=link: self._run(pump, link))

    def _run(self, pump: Callable[[_Link], None], link: _Link) -> None:
        with suppress(OSError):
            pump(link)
        if not link.is_half_open:
            link.close()
            with self._lock:
                self._links.discard(link)

    def _requests(self, link: _Link) -> None:
        while data := link.client.recv(CHUNK):
            self._travel(link)
            if link.is_half_open:
                continue
            if self._to_lose is not None and self._to_lose in data:
                self._to_lose = None
                link.loses_answer = True
            link.server.sendall(data)
        link.is_half_open = False

    def _answers(self, link: _Link) -> None:
        while data := link.server.recv(CHUNK):
            self._travel(link)
            if link.loses_answer:
                self.lost.set()
                link.reset()
                return
            if link.allowance is not None:
                data, link.allowance = data[: link.allowance], link.allowance - len(data)
            link.client.sendall(data)
            if link.allowance is not None and link.allowance <= 0:
                link.reset()
                return

    def _travel(self, link: _Link) -> None:
        """What a piece of data goes through on its way."""
        if self.latency:
            link.closed.wait(self.latency)
        self._passable.wait()

    def _all(self) -> list[_Link]:
        with self._lock:
            return list(self._links)


class _Link:
    """One connection: its two halves."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.closed = threading.Event()
        self.is_half_open = False
        self.loses_answer = False
        self.allowance: int | None = None
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def forget_server(self) -> None:
        self.is_half_open = True
        _close(self.server)

    def reset(self) -> None:
        self.is_half_open = False
        self.closed.set()
        _close(self.client, abruptly=True)
        _close(self.server)

    def close(self) -> None:
        if self.closed.is_set():
            # By a reset, which a farewell would spoil.
            return
        self.closed.set()
        _close(self.client)
        _close(self.server)


def _close(end: socket.socket, *, abruptly: bool = False) -> None:
    # Shutting down wakes the thread that reads from it. Closing alone would not, and would take effect only later.
    with suppress(OSError):
        if abruptly:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RD if abruptly else socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()


def _in_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="fault-proxy", daemon=True).start()
