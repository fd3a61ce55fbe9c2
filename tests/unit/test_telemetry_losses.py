"""What a slow listener of telemetry loses, it can count."""

import json

import pytest
import zmq

from wetloop.config import parse_config
from wetloop.server.telemetry import Telemetry

MANY = 5000


@pytest.fixture
def sockets():
    """Connect a listener that waits for one message to a publisher that keeps one for it."""
    context = zmq.Context()
    publisher, listener = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    publisher.set(zmq.SNDHWM, 1)
    listener.set(zmq.RCVHWM, 1)
    publisher.bind("inproc://telemetry")
    listener.connect("inproc://telemetry")
    yield publisher, listener
    context.destroy(linger=0)


def heard(listener):
    """Return what waits."""
    while listener.poll(0):
        _, content = listener.recv_multipart()
        yield json.loads(content)


def test_losses_are_gaps_in_the_numbers(sockets):
    publisher, listener = sockets
    telemetry = Telemetry(publisher, parse_config("", "x").source.build(1).info)
    listener.subscribe("state")
    assert publisher.poll(10_000)
    telemetry.greet()
    for k in range(MANY):
        telemetry.state({"k": k})
    early = list(heard(listener))
    assert 0 < len(early) < MANY
    late, k = [], MANY
    while not late:
        telemetry.state({"k": k})
        late, k = list(heard(listener)), k + 1
    assert [content["seq"] for content in early] == list(range(1, len(early) + 1))
    assert late[0]["seq"] == late[0]["k"] + 1
    assert late[0]["seq"] - early[-1]["seq"] - 1 == late[0]["k"] - len(early) > 0


def test_whoever_comes_later_is_told_the_latest_value(sockets):
    publisher, listener = sockets
    telemetry = Telemetry(publisher, parse_config("", "x").source.build(1).info)
    telemetry.state({"k": 1})
    telemetry.state({"k": 1})
    listener.subscribe("state")
    assert publisher.poll(10_000)
    telemetry.greet()
    assert list(heard(listener)) == [{"seq": 1, "k": 1}]
