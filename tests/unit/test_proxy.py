"""The bad cable: what it does depends on its seed and the place in the stream, and on nothing else."""

import socket
import threading
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wetloop.core.plugin import seeded
from wetloop.testing.proxy import Faults, Mangler, Proxy

DATA = np.random.default_rng(1).integers(0, 256, 20_000).astype(np.uint8).tobytes()
CELL = 100
BAD = Faults(loss=0.1, duplicate=0.1, corrupt=0.2, cell_bytes=CELL)


def mangled(faults, pieces, seed=1):
    mangler = Mangler(faults, seeded(seed, "test"))
    return b"".join(mangler.feed(piece) for piece in pieces), mangler


def test_a_good_cable_changes_nothing():
    assert mangled(Faults(), [DATA])[0] == DATA


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(DATA)), max_size=30))
def test_the_same_seed_does_the_same_however_the_bytes_come(places):
    edges = [0, *sorted(places), len(DATA)]
    pieces = [DATA[a:b] for a, b in pairwise(edges)]
    assert mangled(BAD, pieces)[0] == mangled(BAD, [DATA])[0]
    assert mangled(BAD, pieces, seed=2)[0] != mangled(BAD, [DATA])[0]


def test_what_happened_is_counted():
    out, mangler = mangled(BAD, [DATA])
    assert min(mangler.lost_cells, mangler.duplicated_cells, mangler.corrupted_cells) > 0
    assert len(out) == len(DATA) + CELL * (mangler.duplicated_cells - mangler.lost_cells)


def test_corruption_changes_one_byte_of_a_cell():
    out, _ = mangled(Faults(corrupt=1.0, cell_bytes=CELL), [DATA])
    differ = np.frombuffer(out, np.uint8) != np.frombuffer(DATA, np.uint8)
    assert (differ.reshape(-1, CELL).sum(axis=1) == 1).all()


def test_pieces_are_small_enough_and_complete():
    mangler = Mangler(Faults(split_bytes=7), seeded(1, "test"))
    pieces = list(mangler.pieces(DATA[:50]))
    assert b"".join(pieces) == DATA[:50]
    assert max(map(len, pieces)) == 7


@contextmanager
def echo():
    """Serve clients that get back what they say; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=give_back, args=(client,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def give_back(client):
    with client:
        try:
            while data := client.recv(4096):
                client.sendall(data)
        except OSError:
            return


def reaching(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def received(client, n):
    got = b""
    while len(got) < n and (data := client.recv(4096)):
        got += data
    return got


@pytest.mark.parametrize("faults", [Faults(), Faults(split_bytes=3), Faults(delay_ms=5.0)])
def test_what_goes_through_comes_back(faults):
    with echo() as address, Proxy(address, down=faults, up=faults) as proxy, reaching(proxy) as client:
        client.sendall(DATA[:500])
        assert received(client, 500) == DATA[:500]


def test_a_bad_way_down_is_that_of_the_seed():
    with echo() as address, Proxy(address, seed=7, down=BAD) as proxy, reaching(proxy) as client:
        wanted = Mangler(BAD, seeded(7, "proxy down 1")).feed(DATA)
        client.sendall(DATA)
        assert received(client, len(wanted)) == wanted


def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_mended():
    with echo() as address, Proxy(address) as proxy:
        with reaching(proxy) as client:
            client.sendall(b"x")
            assert received(client, 1) == b"x"
            proxy.cut()
            assert ended(client)
        assert refused(proxy.port)
        proxy.mend()
        with reaching(proxy) as client:
            client.sendall(b"y")
            assert received(client, 1) == b"y"


def refused(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            return ended(client)
    except ConnectionError:
        return True


def ended(client):
    try:
        return client.recv(10) == b""
    except ConnectionError:
        return True


def test_a_stalled_cable_is_silent_and_then_goes_on():
    with echo() as address, Proxy(address) as proxy, reaching(proxy) as client:
        proxy.stall()
        client.sendall(b"later")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        proxy.mend()
        client.settimeout(10)
        assert received(client, 5) == b"later"


def test_nobody_listening_ends_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with Proxy(address) as proxy:
        assert refused(proxy.port)
