"""A decision is late for what the computer does, not for the packets in which a rig delivers."""

from types import SimpleNamespace

import numpy as np
import pytest

from wetloop.core.types import Outcome, SpikeBatch, Tick
from wetloop.culture.config import PoissonConfig
from wetloop.engine.overrun import OverrunConfig, Overruns
from wetloop.recording.tally import Tally


def rig(packet_ms):
    return PoissonConfig(packet_ms=packet_ms).build(1).info


@pytest.mark.parametrize(("packet_ms", "late_us"), [(1.0, 1000), (0.4, 1000), (25.6, 25_600)])
def test_a_decision_is_late_by_a_millisecond_more_than_a_packet_may_cost(packet_ms, late_us):
    assert rig(packet_ms).late_us == pytest.approx(late_us)


@pytest.mark.parametrize(("packet_ms", "late"), [(1.0, 2), (25.6, 1)])
def test_late_decisions_are_counted_by_the_rigs_measure(packet_ms, late):
    tally = Tally(SimpleNamespace(decision=lambda *_: None), rig(packet_ms).late_us, lambda _: None)
    outcome = Outcome(
        observation=np.zeros(1), reward=0.0, playing=True, terminated=False, truncated=False, events=(), info={}
    )
    for index, lateness_us in enumerate([900.0, 20_000.0, 30_000.0]):
        tick = Tick(index, index * 250, index * 250 + 250, index * 250 + 500, lateness_us)
        tally.decision(tick, SpikeBatch(tick.start_sample, tick.stop_sample, np.zeros(0)), np.zeros(1), outcome, 0)
    assert (tally.decisions, tally.late_decisions) == (3, late)


@pytest.mark.parametrize(("packet_ms", "told"), [(1.0, ["overrun"]), (25.6, [])])
def test_a_packets_wait_is_no_overrun(packet_ms, told):
    heard = []
    brake = SimpleNamespace(trip=lambda who, *_: heard.append(who))
    pace = SimpleNamespace(wait=lambda _: 20_000.0)
    overruns = Overruns(OverrunConfig(policy="trip", late_ms=5, after=3), brake, rig(packet_ms), pace)
    for sample in (250, 500, 750):
        assert overruns.wait(sample) == 20_000.0
    assert heard == told
