import numpy as np
import pytest

from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.protocols import Source
from wetloop.core.types import Signal
from wetloop.culture.config import PoissonConfig


def recorded(seconds=60, seed=1, triggers=(), **config):
    source = PoissonConfig.model_validate({"packet_ms": 100, **config}).build(seed)
    source.open()
    for pattern, at in triggers:
        source.trigger(pattern, at)
    stop = seconds * 25000
    blocks = [source.read()]
    while blocks[-1].start_sample + blocks[-1].n_samples < stop:
        blocks.append(source.read())
    spikes = np.concatenate([b.spikes for b in blocks])
    return spikes[spikes["sample_index"] < stop]


def test_describes_a_rig_that_does_not_react():
    source = PoissonConfig().build(1)
    assert isinstance(source, Source)
    assert (source.info.name, source.info.signal, source.info.reacts) == ("poisson", Signal.SPIKES, False)
    assert source.info.n_channels == 64


def test_counts_and_intervals_are_poisson():
    spikes = recorded(rate_hz=20)
    counts = np.bincount(spikes["channel_index"], minlength=64)
    assert len(spikes) == pytest.approx(64 * 60 * 20, rel=0.02)
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.5)
    intervals = np.diff(spikes["sample_index"][spikes["channel_index"] == 5]) / 25000
    assert intervals.mean() == pytest.approx(1 / 20, rel=0.1)
    assert intervals.std() / intervals.mean() == pytest.approx(1, abs=0.1)


def test_channels_are_independent():
    spikes = recorded(rate_hz=20)
    counts = np.zeros((64, 600))
    np.add.at(counts, (spikes["channel_index"], spikes["sample_index"] // 2500), 1)
    between = np.corrcoef(counts)[np.triu_indices(64, 1)]
    assert abs(between.mean()) < 0.01
    assert np.abs(between).max() < 0.2


@pytest.mark.parametrize("packet_samples", [25, 128, 37, 50_000])
def test_packets_do_not_matter(packet_samples):
    config = {"packet_ms": None, "packet_samples": packet_samples}
    assert recorded(4, rate_hz=50, **config).tobytes() == recorded(4, rate_hz=50).tobytes()


def test_seed_decides_and_stimulation_goes_nowhere():
    quiet = recorded(5)
    assert len(quiet) > 500
    assert quiet.tobytes() == recorded(5, triggers=[(0, 1000)]).tobytes()
    assert quiet.tobytes() != recorded(5, seed=2).tobytes()


def test_spikes_are_ordered():
    spikes = recorded(10, rate_hz=200)
    assert (np.diff(spikes["known_sample"] * 64 + spikes["channel_index"]) >= 0).all()


def test_takes_a_pattern_table():
    source = PoissonConfig().build(1)
    source.open()
    source.prepare(StimGuard(source.info).prepare({"x": Pattern(Pulse.balanced(75, 200, "mV"), (0,))}))
    source.trigger(0, 100)
    source.silence()
    assert source.read().n_samples == 25
    source.close()
