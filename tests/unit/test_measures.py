import numpy as np
import pytest

from wetloop.analysis.activity import Activity
from wetloop.analysis.measures import (
    first_of_trains,
    interval_of_mean,
    log_density,
    means_by_bin,
    motor_balance,
    psth,
    sttc,
)

RNG = 7


def activity_of(*trains, duration_s=10.0):
    times = np.concatenate([np.asarray(train, float) for train in trains])
    channels = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.argsort(times, kind="stable")
    return Activity(times[order], channels[order], len(trains), duration_s)


def test_tiling_coefficients_are_those_of_elephant():
    neo = pytest.importorskip("neo")
    correlation = pytest.importorskip("elephant.spike_train_correlation")
    import quantities as pq

    rng = np.random.default_rng(RNG)
    shared = rng.uniform(0, 10, 40)
    trains = [np.sort(rng.uniform(0, 10, n)) for n in (30, 80)]
    trains.append(np.sort(np.append(shared, rng.uniform(0, 10, 5))))
    trains.append(np.sort((shared + 0.004).clip(0, 9.999)))
    found = sttc(activity_of(*trains), np.arange(4), 0.02)
    for a in range(4):
        for b in range(4):
            pair = [neo.SpikeTrain(trains[k], units="s", t_stop=10.0) for k in (a, b)]
            told = correlation.spike_time_tiling_coefficient(*pair, dt=0.02 * pq.s)
            assert found[a, b] == pytest.approx(float(told), abs=1e-9)


def test_tiling_coefficient_of_one_train_with_itself_is_one_and_of_a_silent_one_unknown():
    found = sttc(activity_of([1.0, 4.0], [], [1.0, 4.0]), np.arange(3), 0.01)
    assert found[0, 2] == pytest.approx(1.0)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()


def test_psth_counts_spikes_per_pulse_electrode_and_second():
    activity = activity_of([1.005, 2.005, 2.5], [1.015])
    rates = psth(activity, np.array([1.0, 2.0]), np.array([-0.01, 0.0, 0.01, 0.02]))
    assert rates == pytest.approx([0.0, 2 / (0.01 * 2 * 2), 1 / (0.01 * 2 * 2)])


def test_only_the_first_of_a_train_counts():
    assert first_of_trains(np.array([0.0, 0.01, 0.02, 0.5, 0.54]), 0.05).tolist() == [0.0, 0.5]
    assert len(first_of_trains(np.zeros(0), 0.05)) == 0


def test_motor_balance_is_between_minus_one_and_one_and_unknown_without_spikes():
    balance = motor_balance(np.array([3.0, 0.0, 2.0, 0.0]), np.array([1.0, 5.0, 2.0, 0.0]))
    assert balance[:3].tolist() == [0.5, -1.0, 0.0]
    assert np.isnan(balance[3])


def test_means_by_bin_leave_out_what_has_no_bin():
    means = means_by_bin(np.array([0, 0, 2, -1]), np.array([1.0, 3.0, 5.0, 100.0]), 3)
    assert means[[0, 2]].tolist() == [2.0, 5.0]
    assert np.isnan(means[1])


def test_density_of_a_power_law_has_its_slope_and_sums_to_one():
    sizes = np.floor(np.random.default_rng(RNG).pareto(0.5, 50_000) + 1)
    centre, density = log_density(sizes[sizes < 1e4], 6)
    slope = np.polyfit(np.log(centre[5:18]), np.log(density[5:18]), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.1)
    assert log_density(np.array([1.0, 1.0, 2.0, 9.0]), 6)[1].tolist() == [0.5, 0.25, 0.25]


def test_bootstrap_interval_holds_the_mean_and_is_the_same_again():
    values = np.append(np.random.default_rng(RNG).normal(3, 1, 60), np.nan)
    one, again = (interval_of_mean(values, np.random.default_rng(1)) for _ in range(2))
    assert one == again
    assert one.low < np.nanmean(values) < one.high
    assert 0.3 < one.high - one.low < 0.8
    assert interval_of_mean(np.full(5, 2.0), np.random.default_rng(1)) == (2.0, 2.0)
    assert np.isnan(interval_of_mean(np.array([2.0]), np.random.default_rng(1))).all()
