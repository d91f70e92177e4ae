"""The proxy does to a connection what it says, and nothing else."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.proxy import FaultProxy
from tests.servers.process import free_port, wait_until

SHORT = 0.2
PATIENCE = 5.0


class EchoServer:
    """Answers every piece of data with the same, and remembers what it was sent."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.left = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                self.heard.append(data)
                connection.sendall(data)
        self.left.set()


@pytest.fixture
def server() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with connected(proxy) as client:
        assert asked(client, b"hello") == b"hello"
        yield client


def connected(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)


def asked(client: socket.socket, data: bytes, *, patience: float = PATIENCE) -> bytes:
    client.settimeout(patience)
    client.sendall(data)
    return client.recv(65536)


def test_without_a_fault_everything_passes(proxy: FaultProxy, client: socket.socket) -> None:
    data = bytes(range(256)) * 4000
    client.settimeout(PATIENCE)
    sender = threading.Thread(target=client.sendall, args=(data,))

    sender.start()
    received = b""
    while len(received) < len(data):
        received += client.recv(65536)
    sender.join()

    assert received == data
    assert (proxy.accepted, proxy.connections) == (1, 1)


def test_a_client_that_leaves_is_seen_by_the_server(
    proxy: FaultProxy, server: EchoServer, client: socket.socket
) -> None:
    client.close()

    assert server.left.wait(PATIENCE)
    wait_until(lambda: proxy.connections == 0, "the proxy to forget it")


def test_latency_makes_every_answer_late(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.latency = SHORT

    with pytest.raises(TimeoutError):
        asked(client, b"late", patience=SHORT)

    client.settimeout(PATIENCE)
    assert client.recv(100) == b"late"


def test_a_reset_reaches_the_client_while_it_waits(
    proxy: FaultProxy, server: EchoServer, client: socket.socket
) -> None:
    threading.Timer(SHORT / 2, proxy.reset).start()

    with pytest.raises(ConnectionResetError):
        client.recv(100)

    assert server.left.wait(PATIENCE)
    with connected(proxy) as again:
        assert asked(again, b"x") == b"x"


def test_who_is_refused_may_come_back_later(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.refuse()

    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connected(proxy)
    proxy.heal()
    with connected(proxy) as again:
        assert asked(again, b"x") == b"x"


def test_a_black_hole_swallows_until_it_is_healed(proxy: FaultProxy, server: EchoServer, client: socket.socket) -> None:
    proxy.silence()

    with pytest.raises(TimeoutError):
        asked(client, b"into the dark", patience=SHORT)
    with connected(proxy) as other, pytest.raises(TimeoutError):
        asked(other, b"this too", patience=SHORT)
    assert server.heard == [b"hello"]

    proxy.heal()
    client.settimeout(PATIENCE)
    assert client.recv(100) == b"into the dark"


def test_what_was_under_way_arrives_after_its_sender_has_left(
    proxy: FaultProxy, server: EchoServer, client: socket.socket
) -> None:
    proxy.silence()
    client.sendall(b"late")
    client.close()

    proxy.heal()

    assert server.left.wait(PATIENCE)
    assert server.heard == [b"hello", b"late"]


def test_a_half_open_connection_is_silent_and_new_ones_are_not(
    proxy: FaultProxy, server: EchoServer, client: socket.socket
) -> None:
    proxy.half_open()

    assert server.left.wait(PATIENCE)
    with pytest.raises(TimeoutError):
        asked(client, b"nobody hears", patience=SHORT)
    with connected(proxy) as again:
        assert asked(again, b"x") == b"x"
    assert server.heard == [b"hello", b"x"]


def test_a_connection_is_cut_after_some_bytes(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.cut_after(7)

    assert asked(client, b"1234") == b"1234"
    received = b""
    with pytest.raises(ConnectionResetError):
        received = asked(client, b"56789")
        received += client.recv(100)

    assert received in (b"567", b"")


def test_a_lost_answer_belongs_to_a_request_that_arrived(
    proxy: FaultProxy, server: EchoServer, client: socket.socket
) -> None:
    proxy.lose_answer(to=b"commit")

    assert asked(client, b"begin") == b"begin"
    with pytest.raises(ConnectionResetError):
        asked(client, b"commit")

    assert proxy.lost.wait(PATIENCE)
    assert server.heard == [b"hello", b"begin", b"commit"]
    with connected(proxy) as again:
        assert asked(again, b"commit") == b"commit"


def test_a_server_that_is_down_resets_its_client() -> None:
    with FaultProxy(free_port()) as proxy, pytest.raises(ConnectionResetError), connected(proxy) as client:
        asked(client, b"anybody?")


def test_nothing_of_a_proxy_stays(server: EchoServer) -> None:
    def threads() -> int:
        return sum(thread.name == "fault-proxy" for thread in threading.enumerate())

    before = threads()

    with FaultProxy(server.port) as proxy, connected(proxy) as one, connected(proxy) as other:
        asked(one, b"x")
        asked(other, b"x")
        proxy.half_open()
        proxy.silence()

    wait_until(lambda: threads() == before, "the threads of the proxy to end")
