"""Pulses at the moments that a task announces, and the centre of activity that answers them."""

import numpy as np
import pytest

from wetloop.coding.centre import CentreConfig
from wetloop.coding.codes import facts_of
from wetloop.coding.cued_config import CuedConfig
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import Answer, Outcome, RigInfo, Signal, SpikeBatch, Tick, Update
from wetloop.kernels.records import SPIKE

SECOND, MS, DECISION, PLAN = 25_000, 25, 500, 500
PAIR = {"a": {"electrodes": [1, 2]}, "b": {"electrodes": [9]}}


def context(config, names=("b", "other", "a"), limits=None):
    probe = grid_probe(4, 3, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(12, np.float32), packet_samples=25, lead_samples=50, unit="mV",
        limits=limits or StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    layout = LayoutConfig(sensory_electrodes=2).apply(probe)
    table = StimGuard(info).prepare(config.patterns(layout, "mV") if isinstance(config, CuedConfig) else {})
    return BuildContext(
        info, layout, table, DECISION, 1, observation_names=names, limits=info.limits, plan_samples=PLAN
    )


def shown(encoder, k, *observation, playing=True, answer=Answer.FRESH):
    seen = Outcome(np.array(observation, np.float32), 0.0, False, False, (), playing, {}, answer=answer)
    return encoder.encode(seen, Tick(k, k * DECISION, (k + 1) * DECISION, (k + 1) * DECISION + PLAN))


def test_a_pulse_falls_when_it_was_announced_and_nowhere_else():
    config = CuedConfig(pulses=PAIR)
    made = context(config)
    encoder = config.build(made)
    assert shown(encoder, 0, 0, 7, 0) == ()
    a, b = shown(encoder, 1, 40, 7, 20)
    assert (a.start_sample, a.stop_sample, a.update) == (1000 + 20 * MS, 1000 + 20 * MS + 1, Update.REPLACE)
    assert b.start_sample == 1000 + 40 * MS
    assert a.voice != b.voice
    assert [made.table.patterns[s.patterns.first].channels for s in (a, b)] == [(1, 2), (9,)]


def test_what_is_announced_too_soon_after_the_last_is_left_out():
    encoder = CuedConfig(pulses=PAIR, max_rate_hz=10).build(context(CuedConfig(pulses=PAIR)))
    assert [len(shown(encoder, k, 0, 0, 40)) for k in range(12)] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]


def test_a_task_that_pauses_or_is_late_announces_nothing():
    encoder = CuedConfig(pulses=PAIR).build(context(CuedConfig(pulses=PAIR)))
    assert shown(encoder, 0, 40, 0, 40, playing=False) == ()
    assert shown(encoder, 1, 40, 0, 40, answer=Answer.REUSED) == ()


def test_a_pulse_that_would_come_too_late_is_refused_in_words():
    encoder = CuedConfig(pulses=PAIR).build(context(CuedConfig(pulses=PAIR)))
    with pytest.raises(ConfigError, match=r"19 ms ahead.*raise task.ahead_ms to at least 20"):
        shown(encoder, 0, 19, 0, 0)


def test_its_largest_rate_must_fit_the_limits_and_its_names_the_task():
    config = CuedConfig(pulses=PAIR, max_rate_hz=50)
    with pytest.raises(ConfigError, match="over the limit of 40 Hz"):
        config.build(context(config, limits=StimLimits(max_rate_hz=40)))
    with pytest.raises(ConfigError, match=r"pulses\.a: the task shows no 'a'"):
        config.build(context(config, names=("b", "c")))
    (facts,) = facts_of(CuedConfig(pulses=PAIR, max_rate_hz=2).build(context(CuedConfig(pulses=PAIR))))
    assert (facts.channels, facts.at_once, facts.largest_total_hz) == ((1, 2, 9), 3, 6)


def test_the_centre_of_activity_lies_where_the_spikes_do():
    decoder = CentreConfig().build(context(CentreConfig()))

    def told(*channels, held=False):
        spikes = np.zeros(len(channels), SPIKE)
        spikes["channel_index"] = channels
        return decoder.decode(SpikeBatch(0, DECISION, spikes), held=held).tolist()

    assert told() == [0, 0, 0]
    assert told(0) == pytest.approx([1, -1, 2 / 3])
    assert told(11, 11) == pytest.approx([2, 2, -4 / 3])
    assert told(*range(12)) == [12, 0, 0]
    assert told(0, held=True) == [0, 0, 0]
