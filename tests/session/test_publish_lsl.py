"""``wetloop publish-lsl`` on a session in real time: its streams, read as any LSL program would, are the recording."""

import signal
import subprocess
import sys
from uuid import uuid4

import numpy as np
import pylsl
import pytest

from wetloop.core.clock import wait_until
from wetloop.live.arena_feed import running
from wetloop.live.lsl_outlets import STREAMS
from wetloop.recording.reader import Recording

ENOUGH = {"spikes": 200, "pulses": 20, "decisions": 300}
SECONDS = 120


@pytest.fixture
def live(played_live):
    return played_live()


@pytest.fixture
def published(live):
    """Publish the session in a process of its own; return it and the prefix of its streams."""
    prefix = f"session-{uuid4().hex}"
    name = next(name for name, facts in running().items() if facts.file == str(live.file))
    command = [sys.executable, "-m", "wetloop", "publish-lsl", "--session", name, "--prefix", prefix]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    yield process, prefix
    process.kill()
    process.communicate()


class Heard:
    """All that one stream has told since it was opened."""

    def __init__(self, name):
        (found,) = pylsl.resolve_byprop("name", name, 1, SECONDS)
        self._inlet = pylsl.StreamInlet(found, recover=False)
        self._inlet.open_stream(SECONDS)
        self.rows, self.stamps_s = [], []

    def listen(self):
        """Take in what has come; return how many rows there are."""
        rows, stamps_s = self._inlet.pull_chunk(0.02)
        self.rows += rows
        self.stamps_s += stamps_s
        return len(self.rows)

    def close(self):
        self._inlet.close_stream()


def test_the_streams_are_what_is_recorded(live, published):
    process, prefix = published
    heard = {name: Heard(f"{prefix}-{name}") for name in STREAMS}
    assert wait_until(lambda: all(heard[name].listen() >= n for name, n in ENOUGH.items()), SECONDS)
    live.end()
    with Recording(live.file) as recording:
        last, rate_hz = int(recording.decisions()["stop_sample"][-1]), recording.info.sampling_frequency
        assert wait_until(lambda: (heard["decisions"].listen(), heard["decisions"].rows[-1][0] == last)[1], SECONDS)
        for name, stream in heard.items():
            while stream.listen() < len(stream.rows):
                continue
            told, fields = np.array(stream.rows), STREAMS[name].fields
            rows = getattr(recording, name)()
            expected = np.column_stack([rows[field].astype(float) for field in fields])
            begin = int(np.flatnonzero((expected == told[0]).all(axis=1))[0])
            np.testing.assert_array_equal(told, expected[begin : begin + len(told)])
            assert len(rows) - begin - len(told) <= (0 if name == "decisions" else 5)
            samples = rows[STREAMS[name].stamped][begin : begin + len(told)]
            assert np.ptp(np.array(stream.stamps_s) - samples / rate_hz) < 0.1
            stream.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS) == 0
    said = [line for line in process.stderr.read().splitlines() if "INFO|" not in line]  # liblsl's own
    assert said == [f"publishing as {prefix}-spikes, {prefix}-pulses, {prefix}-decisions; Ctrl-C ends"]
