"""Pulse trains: their grid, their phase, their randomness, what stops them."""

import numpy as np
import pytest

from wetloop.core.limits import StimLimits
from wetloop.core.types import Kind, Priority, Timing, Update
from wetloop.kernels.records import ARMED, DELIVERED, FATES, LATE, LEASE_EXPIRED, NOT_RUNNING, PREEMPTED, RUNNING

SECOND = 25000


def times(pulses, fate=DELIVERED):
    return pulses["sample_index"][pulses["fate"] == fate].tolist()


def test_regular_train_is_on_its_grid_and_stops(bench):
    b = bench()
    b.set(start=1000, stop=3500, period=250.0)
    assert times(b.run(5000)) == list(range(1000, 3500, 250))


def test_fractional_period_does_not_drift(bench):
    b = bench()
    b.set(start=1000, stop=SECOND + 1000, period=SECOND / 40 * 1.001)
    got = times(b.run(2 * SECOND))
    assert got == [int(np.floor(1000 + k * 625.625 + 0.5)) for k in range(len(got))]
    assert len(got) == 40


def test_rate_code_that_is_renewed_keeps_its_phase(bench):
    renewed, steady = bench(), bench()
    steady.set(update=Update.KEEP_PHASE, start=500, stop=40000, period=6250.0)
    for start in range(500, 30000, 250):
        renewed.set(update=Update.KEEP_PHASE, start=start, stop=start + 1250, period=6250.0)
        renewed.run(start - 250)
    expected = times(steady.run(30000))
    b = times(renewed.engine.pulses.take()) or None
    assert b is None
    assert expected == [6750, 13000, 19250, 25500]


def test_renewal_every_decision_gives_the_same_pulses_as_one_setting(bench):
    b, got = bench(), []
    for start in range(500, 30000, 250):
        b.set(update=Update.KEEP_PHASE, start=start, stop=start + 1250, period=6250.0)
        got += times(b.run(start - 250))
    assert got == [6750, 13000, 19250, 25500]


def test_phase_carries_over_to_a_new_rate(bench):
    b = bench()
    b.set(update=Update.KEEP_PHASE, start=1000, stop=20000, period=1000.0)
    b.set(update=Update.KEEP_PHASE, start=3600, stop=20000, period=500.0)  # 0.6 of the interval is over
    assert times(b.run(5000))[:5] == [2000, 3000, 3800, 4300, 4800]


def test_phase_freezes_while_a_voice_is_off(bench):
    b = bench()
    b.set(update=Update.KEEP_PHASE, start=1000, stop=1400, period=1000.0)
    b.run(2000)
    b.set(update=Update.KEEP_PHASE, start=5000, stop=20000, period=1000.0)
    assert times(b.run(7000))[:1] == [5600]


def test_setting_takes_effect_at_its_start_and_leaves_no_gap(bench):
    b = bench()
    b.set(start=500, stop=9000, period=100.0)
    b.run(400)
    b.set(start=1000, stop=2000, period=250.0, first=1)
    got = b.run(3000)
    assert times(got[got["pattern"] == 0]) == [500, 600, 700, 800, 900]
    assert times(got[got["pattern"] == 1]) == [1000, 1250, 1500, 1750]


def test_append_waits_for_the_running_train(bench):
    b = bench()
    b.set(start=500, stop=2000, period=500.0)
    b.set(start=600, stop=4000, period=500.0, first=1, update=Update.APPEND)
    got = b.run(4000)
    assert times(got[got["pattern"] == 0]) == [500, 1000, 1500]
    assert times(got[got["pattern"] == 1]) == [2000, 2500, 3000, 3500]


def test_newer_plan_supersedes_those_that_were_to_start_later(bench):
    b = bench()
    b.set(start=3000, stop=9000, period=500.0)
    b.set(start=1000, stop=2000, period=500.0, first=1)
    assert times(b.run(9000)) == [1000, 1500]


def test_too_many_waiting_settings_are_counted(bench):
    b = bench()
    for k in range(66):
        b.set(start=1000 + k, stop=2000, period=500.0)
    b.run(25)
    assert b.engine.dropped["settings"] == 2


def test_random_train_is_poisson_in_time_and_uniform_in_site(bench):
    b, pulses = bench(), []
    for k in range(100):
        start = 1000 + k * 5 * SECOND
        b.set(kind=Kind.RANDOM, count=8, timing=Timing.POISSON, start=start, stop=start + 4 * SECOND,
              period=SECOND / 5, seed=1000 + k)  # fmt: skip
        pulses.append(b.run(start + 5 * SECOND - 2000))
    got = np.concatenate(pulses)
    intervals = np.concatenate([np.diff(p["sample_index"]) for p in pulses])
    counts = np.bincount(got["pattern"], minlength=8)
    assert 1850 <= len(got) <= 2150  # 100 trains x 20 pulses, SD 45
    assert 0.85 < intervals.std() / intervals.mean() < 1.15
    assert abs(np.corrcoef(intervals[:-1], intervals[1:])[0, 1]) < 0.08
    assert np.all(np.abs(counts / len(got) - 1 / 8) < 0.03)
    assert len({tuple(p["pattern"][:6]) for p in pulses}) > 95


def test_same_seed_gives_the_same_random_train(bench):
    trains = []
    for seed in (5, 5, 6):
        b = bench()
        b.set(count=8, timing=Timing.POISSON, start=1000, stop=90000, period=5000.0, seed=seed)
        trains.append(b.run(100000))
    assert (trains[0] == trains[1]).all()
    assert len(trains[0]) != len(trains[2]) or (trains[0] != trains[2]).any()


def test_feedback_preempts_sensory_pulses_between_its_own(bench):
    b = bench()
    b.set(start=500, stop=9000, period=300.0)
    b.set(voice=8, first=8, kind=Kind.PREDICTABLE, priority=Priority.FEEDBACK, start=2000, stop=4500, period=250.0)
    got = b.run(9000)
    sensory, feedback = got[got["kind"] == Kind.SENSORY], got[got["kind"] == Kind.PREDICTABLE]
    assert times(feedback) == list(range(2000, 4500, 250))
    assert all(2000 <= t < 4500 for t in times(sensory, PREEMPTED))
    assert not any(2000 <= t < 4500 for t in times(sensory))
    assert len(times(sensory, PREEMPTED)) == 9


def test_a_sensory_pulse_just_before_feedback_gives_way(bench):
    b = bench(limits=StimLimits(min_interval_ms=4.0))
    b.set(start=500, stop=9000, period=390.0)  # 1670, 2060: the latter 2.4 ms before the train
    b.set(voice=8, first=8, kind=Kind.PREDICTABLE, priority=Priority.FEEDBACK, start=2110, stop=4610, period=250.0)
    got = b.run(6000)
    assert times(got[got["kind"] == Kind.PREDICTABLE]) == list(range(2110, 4610, 250))
    assert 2060 in times(got, PREEMPTED)
    assert 1670 in times(got)


def test_a_pulse_before_the_frontier_is_late_and_never_delivered(bench):
    b = bench(lead=75)
    b.run(1000)
    b.set(start=1000, stop=1200, period=50.0)
    got = b.run(2000)
    assert times(got, LATE) == [1000, 1050]
    assert times(got) == [1100, 1150]


def test_lease_ends_a_train(bench):
    b = bench()
    b.set(start=500, stop=90000, period=100.0, lease=2000)
    got = b.run(5000)
    assert max(times(got)) == 1900
    assert min(times(got, LEASE_EXPIRED)) == 2000
    b.engine.submit((), 7000)
    assert max(times(b.run(9000))) == 6900


@pytest.mark.parametrize("state", [ARMED, 0])
def test_nothing_is_delivered_unless_running(bench, state):
    b = bench(state=state)
    b.set(start=500, stop=2000, period=100.0)
    assert set(b.run(3000)["fate"]) == {NOT_RUNNING}
    b.engine.change_state(RUNNING)
    b.set(start=3500, stop=4000, period=100.0)
    assert times(b.run(5000)) == [3500, 3600, 3700, 3800, 3900]


@pytest.mark.parametrize("packet", [1, 37, 125, 128, 250])
def test_packets_of_any_size_give_the_same_pulses(bench, packet):
    got = []
    for size in (25, packet):
        b = bench(packet=size, lead=300)
        b.set(update=Update.KEEP_PHASE, start=700, stop=20000, period=777.7)
        b.set(voice=9, count=8, timing=Timing.POISSON, priority=Priority.FEEDBACK, start=5000, stop=9000, period=90.0)
        pulses = b.run(15000)
        got.append(pulses[pulses["sample_index"] < 14000])
    assert (got[0] == got[1]).all()


def test_counts_by_kind_and_fate_add_up(bench):
    b = bench()
    b.set(start=500, stop=9000, period=300.0)
    b.set(voice=8, first=8, kind=Kind.PREDICTABLE, priority=Priority.FEEDBACK, start=2000, stop=4500, period=250.0)
    got, fates = b.run(9000), b.engine.fates()
    assert sum(sum(row.values()) for row in fates.values()) == len(got)
    assert fates["predictable"][FATES[DELIVERED]] == 10
