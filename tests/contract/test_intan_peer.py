"""python-intan, which we did not write, reads the emulated RHX and drives it."""

from contextlib import ExitStack

import numpy as np
import pytest

from wetloop.core.clock import wait_until
from wetloop.emulation import bench

PORTS = ("command_port", "waveform_port", "spike_port")
SECONDS = 0.5


@pytest.fixture
def emulated():
    """Start a dish of samples behind RHX; yields the emulator and its settings."""
    settings = [f"intan-rhx.{port}=0" for port in PORTS]
    dish, (emulator,) = bench(
        ["intan-rhx"], ["culture.settle_s=0", "culture.cells=100", "culture.signal=samples", *settings]
    )
    with ExitStack() as stack:
        stack.callback(dish.close)
        yield emulator, dict(dish.start([emulator]))
    assert dish.failure is None


def device_at(settings, channels):
    from intan.interface import IntanRHXDevice

    device = IntanRHXDevice(
        host=settings["host"], command_port=settings["command_port"], data_port=settings["waveform_port"],
        num_channels=len(channels),
    )  # fmt: skip
    assert device.connected
    device.send_delay = 0.1  # it does not end its commands: RHX merges those that come together
    device.clear_all_data_outputs()
    device.enable_wide_channel(channels)
    device.set_blocks_per_write(1)
    return device


@pytest.mark.filterwarnings("ignore")
def test_python_intan_reads_what_the_emulator_sends(emulated, monkeypatch):
    emulator, settings = emulated
    sent = []
    monkeypatch.setattr(emulator, "deliver", recording(emulator.deliver, sent))
    device = device_at(settings, range(4))
    assert device.get_sample_rate() == 25_000
    assert device.get_run_mode() == "Stop"
    read_uv = device.record(SECONDS, verbose=False)
    assert device.get_run_mode() == "Stop"
    device.close()
    truth_uv = np.concatenate(sent)[:, :4].T * 0.195
    start = position_of(read_uv, truth_uv)
    assert np.abs(read_uv - truth_uv[:, start : start + read_uv.shape[1]]).max() < 1e-3


def recording(deliver, sent):
    def delivering(block):
        sent.append(block.samples)
        deliver(block)

    return delivering


def position_of(read_uv, truth_uv):
    """Return where what was read begins in what was sent."""
    first = np.abs(truth_uv[:, : -read_uv.shape[1], None] - read_uv[:, None, :50][:, :, :1]).max(axis=(0, 2)) < 1e-3
    fits = [k for k in np.flatnonzero(first) if np.abs(truth_uv[:, k : k + 50] - read_uv[:, :50]).max() < 1e-3]
    assert len(fits) == 1
    return int(fits[0])


@pytest.mark.filterwarnings("ignore")
def test_python_intan_sets_what_the_emulator_keeps_and_makes_room_for_the_next_client(emulated):
    emulator, settings = emulated
    device = device_at(settings, [2, 5])
    device.set_parameter("a-002.stimenabled", "true")
    assert device.get_parameter("a-002.stimenabled") == "Return: StimEnabled True"
    board = emulator.board
    on = [c for c in range(8) if board.value(f"A-{c:03d}.TCPDataOutputEnabled") == "True"]
    assert on == [2, 5]
    assert board.value("TCPNumberDataBlocksPerWrite") == "1"
    device.close()
    assert wait_until(lambda: board.hear(b"get TCPWaveformDataOutputConnectionStatus").endswith(b"Disconnected"), 5.0)
