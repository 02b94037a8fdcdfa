"""The proxy of promise 7 does what its modes say: else the promise would be held against nothing."""

import socket
import threading
from collections.abc import Iterator

import pytest

from shared.kit import clock
from tests.promises.support.proxy import Mode, Proxy

DELAY_S = 0.3


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says everything back; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=say_back, args=(peer,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def say_back(peer: socket.socket) -> None:
    with peer:
        while data := peer.recv(100):
            peer.sendall(data)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    made = Proxy(echo, delay_s=DELAY_S)
    yield made
    made.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=2 * DELAY_S)


def test_it_passes(proxy: Proxy) -> None:
    with connect(proxy) as peer:
        peer.sendall(b"one")
        assert peer.recv(10) == b"one"


def test_a_black_hole_swallows_old_and_new_connections_and_gives_back_when_it_is_over(proxy: Proxy) -> None:
    with connect(proxy) as old:
        old.sendall(b"one")
        assert old.recv(10) == b"one"
        proxy.set(Mode.HOLE)
        with connect(proxy) as new:
            for peer in (old, new):
                peer.sendall(b"two")
                with pytest.raises(TimeoutError):
                    peer.recv(10)
            proxy.set(Mode.PASS)
            assert (old.recv(10), new.recv(10)) == (b"two", b"two")


def test_slow_answers_are_late_by_the_delay(proxy: Proxy) -> None:
    with connect(proxy) as peer:
        proxy.set(Mode.SLOW)
        started_s = clock.monotonic_s()
        peer.sendall(b"one")
        assert peer.recv(10) == b"one"
        assert clock.monotonic_s() - started_s >= DELAY_S


def test_a_reset_ends_old_and_new_connections(proxy: Proxy) -> None:
    with connect(proxy) as old:
        old.sendall(b"one")
        assert old.recv(10) == b"one"
        proxy.set(Mode.RESET)
        with pytest.raises(ConnectionResetError):
            old.recv(10)
        with pytest.raises(ConnectionResetError), connect(proxy) as new:
            new.recv(10)
    proxy.set(Mode.PASS)
    with connect(proxy) as again:
        again.sendall(b"two")
        assert again.recv(10) == b"two"
