"""No sequence of programs, valid or hostile, gets a pulse past a limit."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wetloop.core.limits import StimLimits
from wetloop.core.types import Kind, Priority, Timing, Update
from wetloop.kernels.records import DELIVERED, NOT_RUNNING

MS, SECOND = 25, 25000
CHARGE_NC = 75 * 200 * 1e-3 / 12

programs = st.lists(
    st.fixed_dictionaries(
        {
            "voice": st.integers(0, 12),
            "first": st.integers(0, 8),
            "kind": st.sampled_from(Kind),
            "priority": st.sampled_from(Priority),
            "update": st.sampled_from(Update),
            "timing": st.sampled_from(Timing),
            "start": st.integers(0, 2 * SECOND),
            "length": st.integers(0, 2 * SECOND),
            "period": st.floats(1.0, 5000.0),
            "seed": st.integers(0, 2**63),
        }
    ),
    min_size=1,
    max_size=6,
)
limits = st.builds(
    StimLimits,
    min_interval_ms=st.sampled_from([0.0, 0.4, 4.0, 33.3]),
    max_rate_hz=st.sampled_from([1.0, 7.0, 60.0, float("inf")]),
    max_array_rate_hz=st.sampled_from([8.0, 30.0, 300.0, float("inf")]),
    max_electrodes=st.sampled_from([8.0, 9.0]),
    max_charge_nc_per_s=st.sampled_from([2.0, 10.0, 100.0, float("inf")]),
    max_charge_nc_per_min=st.sampled_from([5.0, 50.0, float("inf")]),
    max_charge_nc_per_session=st.sampled_from([3.0, 40.0, float("inf")]),
)


def most_in_window(samples, window):
    """Return the largest number of samples in any half-open window."""
    samples = np.sort(np.asarray(samples))
    return max((np.searchsorted(samples, t + window) - k for k, t in enumerate(samples)), default=0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(programs=programs, limits=limits)
def test_delivered_pulses_keep_every_limit(bench, programs, limits):
    b = bench(limits=limits)
    for p in programs:
        start, length = p.pop("start"), p.pop("length")
        b.set(**p, start=start, stop=start + length)
    pulses = b.run(4 * SECOND)
    delivered = pulses[pulses["fate"] == DELIVERED]
    channels = [b.table.patterns[p].channels for p in delivered["pattern"]]
    samples = delivered["sample_index"]
    array = np.repeat(samples, [len(c) for c in channels])
    assert (np.diff(samples) >= 0).all()
    assert most_in_window(array, SECOND) <= limits.max_array_rate_hz
    assert most_in_window(array, round(400e-6 * SECOND)) <= limits.max_electrodes
    for channel in range(8):
        mine = samples[[channel in c for c in channels]]
        if len(mine) > 1:
            assert np.diff(mine).min() >= limits.min_interval_ms * MS
        assert most_in_window(mine, SECOND) <= limits.max_rate_hz
        assert most_in_window(mine, SECOND) * CHARGE_NC <= limits.max_charge_nc_per_s
        assert len(mine) * CHARGE_NC <= min(limits.max_charge_nc_per_min, limits.max_charge_nc_per_session)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(period=st.floats(1.0, 200.0), trip=st.integers(1, 20))
def test_too_many_refusals_trip_the_guard_for_good(bench, period, trip):
    b = bench(limits=StimLimits(min_interval_ms=50.0), trip=trip)
    b.set(start=1000, stop=40000, period=period)
    pulses = b.run(60000)
    refused = pulses[pulses["fate"] > NOT_RUNNING]
    assert b.engine.guard_state == "tripped"
    assert len(refused) == trip + 1 or len(np.unique(refused["sample_index"] // SECOND)) > 1
    after = pulses[pulses["sample_index"] > refused["sample_index"][-1]]
    assert set(after["fate"].tolist()) <= {NOT_RUNNING}
