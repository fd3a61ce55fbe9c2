"""Blocks in, spikes out: order, blanking, windows, gaps and the ring's ends."""

import numpy as np
import pytest

from wetloop.core.types import Block, Signal
from wetloop.engine.engine import RingReader
from wetloop.kernels.random import exponential, mix
from wetloop.kernels.records import SPIKE
from wetloop.kernels.rings import DROPPED, RECORDER, SESSION, Ring, new_ring, put


def spikes_at(*samples, known=None):
    rows = np.zeros(len(samples), SPIKE)
    rows["sample_index"] = samples
    rows["known_sample"] = samples if known is None else known
    return rows


def test_windows_close_on_the_time_a_spike_became_known(bench):
    b = bench()
    b.given = spikes_at(240, 245, 260, known=[249, 255, 270])
    b.run(500)
    assert b.engine.spikes.take_before(250, "known_sample")["sample_index"].tolist() == [240]
    assert b.engine.spikes.take_before(500, "known_sample")["sample_index"].tolist() == [245, 260]


def test_spikes_within_the_blanking_window_of_a_delivered_pulse_are_dropped(bench):
    b = bench()
    b.set(start=1000, stop=1001, period=100.0)
    b.given = spikes_at(999, 1000, 1049, 1050, 1051)
    b.run(2000)
    assert b.engine.spikes.take()["sample_index"].tolist() == [999, 1050, 1051]


def test_samples_within_the_blanking_window_are_never_spikes(bench):
    rng, found = np.random.default_rng(3), []
    x = rng.normal(0, 25, (40000, 8)).astype(np.int16)
    pulses = np.arange(20000, 40000, 2500)
    for p in pulses:
        x[p : p + 45] = -30000
    for stimulate in (True, False):
        b = bench(signal=Signal.SAMPLES)
        if stimulate:
            b.set(start=20000, stop=40000, period=2500.0)
        for at in range(0, 40000, 25):
            block = Block(at, 25, x[at : at + 25], np.zeros(0, SPIKE))
            b.engine.advance(block, at + 25)
        found.append(b.engine.spikes.take())
    near = [np.min(np.abs(f["sample_index"][:, None] - pulses - 60)) if len(f) else 99 for f in found]
    assert near[0] > 10
    assert len(found[0]) < len(found[1])


def test_lost_samples_are_counted(bench):
    b = bench()
    empty = np.zeros((0, 8), np.int16)
    b.engine.advance(Block(0, 25, empty, spikes_at()), 25)
    b.engine.advance(Block(100, 25, empty, spikes_at(), 75), 125)
    assert b.engine.state.core["lost"][0] == 75
    assert b.engine.recorded_blocks.take()["lost_samples"].tolist() == [0, 75]


def test_blocks_record_the_serial_in_effect(bench):
    b = bench()
    b.run(50)
    serial = b.engine.submit((), 1000)
    b.run(75)
    assert b.engine.recorded_blocks.take()["serial"].tolist() == [2, 2, serial]


def fill(ring: Ring, values):
    for v in values:
        put(ring, (v, 0, 0, 0.0, 0))


@pytest.mark.parametrize("n", [0, 3, 8])
def test_ring_wraps_around_in_order(n):
    ring = new_ring(SPIKE, 8, SESSION)
    reader = RingReader(ring, SESSION)
    fill(ring, range(5))
    assert reader.take()["sample_index"].tolist() == [0, 1, 2, 3, 4]
    fill(ring, range(5, 5 + n))
    assert reader.take()["sample_index"].tolist() == list(range(5, 5 + n))


def test_full_ring_drops_the_newest_and_counts_it():
    ring = new_ring(SPIKE, 4, SESSION, RECORDER)
    fill(ring, range(6))
    assert ring.words[DROPPED] == 2
    assert RingReader(ring, SESSION).take()["sample_index"].tolist() == [0, 1, 2, 3]
    fill(ring, [7])
    assert ring.words[DROPPED] == 3, "the recorder has not read yet"


def test_exponential_has_mean_and_spread_one_and_is_exact():
    drawn = np.array([exponential(7, k) for k in range(20000)])
    logs = np.array([-np.log1p(-(float(mix(7, k) >> np.uint64(11)) / 2**53)) for k in range(20000)])
    assert np.abs(drawn - logs).max() < 1e-12
    assert abs(drawn.mean() - 1) < 0.03
