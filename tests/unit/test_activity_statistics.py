"""Statistics of activity on trains whose answers are known, and on real recordings where they lie at hand."""

from pathlib import Path

import numpy as np
import pytest

from wetloop.analysis.activity import (
    Activity,
    burstiness_index,
    intervals_s,
    network_bursts,
    rates_hz,
    rest_statistics,
    time_in_bursts,
)
from wetloop.analysis.avalanches import avalanches, branching_ratio, exponent
from wetloop.analysis.evoked import evoked
from wetloop.analysis.real_cultures import CORTEX_DIV_21, Quartiles, fits
from wetloop.kernels.records import SPIKE

REAL = Path(__file__).parents[3] / "shared/data"


def activity(pairs, n_channels=8, duration_s=60.0):
    times, channels = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    return Activity(times.astype(float), channels.astype(np.int64), n_channels, duration_s)


def bursting(starts_s, length_s=0.3, n_channels=8):
    """Return spikes every 10 ms on all channels during bursts."""
    steps = np.arange(round(length_s / 0.01)) * 0.01 + 0.001
    return activity([(s + t, c) for s in starts_s for t in steps for c in range(n_channels)], n_channels)


def test_bursts_are_found_where_a_quarter_of_the_active_electrodes_fires():
    found = network_bursts(bursting([5.0, 20.0, 41.0]))
    assert found.start_s == pytest.approx([5.0, 20.0, 41.0])
    assert found.stop_s == pytest.approx([5.3, 20.3, 41.3])
    assert found.holds.all()


def test_short_gaps_are_bridged_and_longer_ones_are_not():
    assert len(network_bursts(bursting([5.0, 5.5])).start_s) == 1
    assert len(network_bursts(bursting([5.0, 5.6])).start_s) == 2


def test_one_electrode_makes_no_network_burst():
    lonely = activity([(t, 3) for t in np.arange(0.05, 60, 0.01)])
    assert len(network_bursts(lonely).start_s) == 0
    statistics = rest_statistics(lonely)
    assert statistics.share_in_bursts == 0
    assert np.isnan(statistics.burst_duration_s)


def test_six_statistics_of_a_known_train():
    found = rest_statistics(bursting([5.0, 20.0, 35.0, 50.0]))
    assert found.mean_rate_hz == pytest.approx(2.0)
    assert found.median_rate_hz == pytest.approx(2.0)
    assert found.bursts_per_min == pytest.approx(4)
    assert found.burst_duration_s == pytest.approx(0.3)
    assert found.share_in_bursts == 1
    assert found.burst_interval_cv == pytest.approx(0, abs=1e-9)
    assert time_in_bursts(bursting([5.0, 20.0])) == pytest.approx(0.01)


def test_silent_electrodes_count_for_no_rate():
    quiet = activity([(1.0, 0), (2.0, 0), (3.0, 1)], n_channels=60)
    assert rates_hz(quiet)[:3] == pytest.approx([2 / 60, 1 / 60, 0])
    assert rest_statistics(quiet).median_rate_hz == pytest.approx(1.5 / 60)


def test_nothing_at_all_is_no_error():
    empty = Activity(np.zeros(0), np.zeros(0, np.int64), 8, 10.0)
    assert rest_statistics(empty).bursts_per_min == 0
    assert len(avalanches(empty).sizes) == 0
    assert np.isnan(burstiness_index(empty))


def test_burstiness_is_0_for_even_spikes_and_1_for_a_lump():
    even = activity([(t, 0) for t in np.arange(0.05, 60, 0.1)])
    lump = activity([(30 + t, 0) for t in np.arange(0, 1, 0.01)])
    assert burstiness_index(even) == pytest.approx(0, abs=0.01)
    assert burstiness_index(lump) == pytest.approx(1)


def test_intervals_are_those_of_single_electrodes():
    assert intervals_s(activity([(1.0, 0), (1.5, 1), (3.0, 0), (1.75, 1)])) == pytest.approx([2.0, 0.25])


def test_what_follows_a_pulse_is_left_out():
    kept = activity([(1.0, 0), (1.0015, 1), (1.003, 2), (0.9999, 3)]).without(np.array([1.0]))
    assert kept.channels.tolist() == [3, 2]


def test_activity_of_records_is_cut_and_sorted():
    spikes = np.zeros(4, SPIKE)
    spikes["sample_index"], spikes["channel_index"] = [100, 50, 300, 150], [0, 1, 2, 3]
    found = Activity.of(spikes, 100, 300, 100.0, 4)
    assert found.times_s.tolist() == [0.0, 0.5]
    assert found.channels.tolist() == [0, 3]
    assert found.duration_s == 2.0


def test_avalanches_are_runs_of_busy_bins():
    found = avalanches(activity([(0.05, 0), (0.15, 1), (0.16, 2), (0.35, 0)]), bin_s=0.1)
    assert found.sizes.tolist() == [3, 1]
    assert found.durations.tolist() == [2, 1]
    assert branching_ratio(found) == pytest.approx((2 + 0) / 2)


def test_exponent_of_a_power_law_is_recovered():
    u = np.random.default_rng(1).random(200_000)
    values = np.floor(10 * (1 - u) ** (-1 / (2.5 - 1))).astype(np.int64)
    assert exponent(values, least=10) == pytest.approx(2.5, abs=0.05)
    assert np.isnan(exponent(values[:10]))


def test_evoked_spikes_fall_into_their_windows():
    pulses = np.array([5.0, 10.0])
    spikes = [(p + late, c) for p in pulses for c, late in enumerate((-0.1, 0.0005, 0.01, 0.1, 0.15))]
    found = evoked(activity(spikes), pulses)
    assert (found.before, found.direct, found.early, found.late) == (1, 1, 1, 2)
    assert found.direct_latency_ms == pytest.approx(0.5)


def test_quartiles_hold_what_lies_between_them():
    assert Quartiles(1, 2, 3).holds(3)
    assert not Quartiles(1, 2, 3).holds(3.1)
    assert all(q.lower < q.median < q.upper for q in CORTEX_DIV_21.values())


@pytest.mark.skipif(not REAL.is_dir(), reason="the public recordings of g2chvcdata are no part of the project")
def test_a_real_recording_has_the_statistics_that_were_published_of_it():
    import h5py

    with h5py.File(REAL / "C57_CTX_G2CEPHYS1_TC11_DIV21_A.h5") as file:
        counts, start_stop = file["sCount"][()].ravel().astype(int), file["recordingtime"][()].ravel()
        times = file["spikes"][()].ravel() - start_stop[0]
    channels = np.repeat(np.arange(len(counts)), counts)
    order = np.argsort(times, kind="stable")
    found = rest_statistics(Activity(times[order], channels[order], len(counts), float(np.ptp(start_stop))))
    assert found.mean_rate_hz == pytest.approx(6.44, abs=0.02)
    assert found.bursts_per_min == pytest.approx(23.4, abs=0.2)
    assert found.share_in_bursts == pytest.approx(0.96, abs=0.01)
    inside = fits(found)
    assert inside["bursts_per_min"]
    assert not inside["mean_rate_hz"]
