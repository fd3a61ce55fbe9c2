"""The Open Ephys project's own Python tools control the emulated GUI, and find in it what they expect."""

import threading
from types import SimpleNamespace

import pytest
from open_ephys.control import NetworkControl, OpenEphysHTTPServer

from wetloop.emulation import bench

PORTS = [f"open-ephys.{name}=0" for name in ("http_port", "data_port", "events_port")]


@pytest.fixture
def running():
    """Start the GUI on ports of its own; both peers know where it is."""
    dish, emulators = bench(["open-ephys"], ["culture.settle_s=0", *PORTS])
    settings = dish.start(emulators)
    http = OpenEphysHTTPServer()
    http.address = f"http://127.0.0.1:{settings['gui']['http_port']}"
    events = NetworkControl(port=settings["events_port"])
    yield SimpleNamespace(dish=dish, http=http, events=events)
    events.socket.close(linger=0)
    events.context.term()
    dish.close()
    assert dish.failure is None


def channels(dish):
    return [pulse.pattern.channels for pulse in dish.delivered]


def test_http_starts_and_stops_acquisition(running):
    assert running.http.status() == "IDLE"
    assert running.http.acquire() == "ACQUIRE"
    assert running.http.status() == "ACQUIRE"
    assert running.http.record() == "RECORD"
    assert running.http.idle() == "IDLE"
    assert running.http.status() == "IDLE"


def test_http_shows_the_signal_chain(running):
    names = ["Acquisition Board", "Spike Detector", "zmq-interface", "Network Events"]
    assert running.http.get_processor_list() == names
    assert [processor["id"] for processor in running.http.get_processors()] == [100, 101, 102, 103]
    assert [processor["name"] for processor in running.http.get_processors("Network Events")] == ["Network Events"]


def test_http_keeps_what_it_is_told_about_recording(running):
    assert running.http.set_parent_dir("/data")["parent_directory"] == "/data"
    assert running.http.set_prepend_text("pong")["prepend_text"] == "pong"
    assert running.http.get_recording_info("parent_directory") == "/data"


def test_a_broadcast_fires_what_is_wired_to_the_line(running):
    running.http.message("ACQBOARD TRIGGER 2 10")
    running.http.acquire()
    for text in ("ACQBOARD TRIGGER 3 20", "ACQBOARD TRIGGER 9 20", "ACQBOARD TRIGGER 1 5", "hello"):
        assert text in running.http.message(text)["info"]
    assert channels(running.dish) == [(2,)]


def test_network_events_controls_acquisition(running, capsys):
    assert not running.events.is_acquiring
    assert running.events.start is None
    assert running.events.is_acquiring
    assert running.events.record is None
    assert running.events.is_recording
    assert running.events.stop_recording is None
    assert running.events.is_acquiring
    assert not running.events.is_recording
    assert running.events.stop is None
    assert not running.events.is_acquiring
    said = [line.removeprefix("Response: ") for line in capsys.readouterr().out.splitlines()]
    assert said == ["StartedAcquisition", "StartedRecording", "StoppedRecording", "StoppedAcquisition"]


def test_a_ttl_event_fires_as_it_rises(running, capsys):
    running.events.send_ttl(line=1, state=1)
    running.events.send_ttl(line=1, state=0)
    assert running.events.start is None
    for state in (1, 1, 0, 1):
        running.events.send_ttl(line=9, state=state)
    running.events.send_ttl(line=257, state=1)
    assert channels(running.dish) == [tuple(range(8)), tuple(range(8))]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Response: TTLHandled: Line=1 State=1"
    assert said[-1] == "Response: InvalidChannel"


def test_two_peers_at_once_are_both_answered(running):
    answers = []
    asking = threading.Thread(target=lambda: answers.extend(running.http.status() for _ in range(20)))
    asking.start()
    assert {running.events.is_acquiring for _ in range(20)} == {False}
    asking.join()
    assert answers == ["IDLE"] * 20
