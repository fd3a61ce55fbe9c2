import numpy as np
import pytest

from wetloop.core.rig_clock import RigClock

RATE_HZ, PACKET = 20_000.0, 200
START_NS = 5_000_000_000


def arrivals(seconds, drift_ppm, seed=1, jump=None):
    """Yield (sample, arrival in ns, true host time of the sample in ns), with delays that are never negative."""
    rng, now_ns = np.random.default_rng(seed), START_NS
    for k in range(1, round(seconds * RATE_HZ / PACKET)):
        sample = k * PACKET
        now_ns += PACKET / RATE_HZ / (1 + drift_ppm * 1e-6) * 1e9
        if jump and k == round(jump[0] * RATE_HZ / PACKET):
            now_ns += jump[1]
        yield sample, round(now_ns + rng.exponential(300_000)), now_ns


def follow(clock, *story):
    estimate = None
    for sample, arrival_ns, _ in arrivals(*story):
        estimate = clock.observe(sample, arrival_ns) or estimate
    return estimate


@pytest.mark.parametrize("drift_ppm", [0.0, 50.0, -120.0])
def test_drift_and_offset_are_found_under_jitter(drift_ppm):
    estimate = follow(RigClock(RATE_HZ), 60, drift_ppm)
    assert estimate.drift_ppm == pytest.approx(drift_ppm, abs=1.0)
    assert estimate.jitter_us == pytest.approx(300 * np.log(20), rel=0.4)
    assert estimate.jumps == 0
    *_, (sample, _, true_ns) = arrivals(60, drift_ppm)
    assert estimate.host_at(sample) == pytest.approx(true_ns, abs=50_000)


def test_the_rigs_latency_is_taken_off():
    near, far = (follow(RigClock(RATE_HZ, latency_ms), 20, 0.0) for latency_ms in (0.0, 34.0))
    assert near.host_at(1000) - far.host_at(1000) == pytest.approx(34e6, abs=2)


def test_a_jump_is_counted_and_the_line_begins_anew():
    clock = RigClock(RATE_HZ)
    estimate = follow(clock, 60, 20.0, 1, (30, 2e9))
    assert estimate.jumps == 1
    *_, (sample, _, true_ns) = arrivals(60, 20.0, 1, (30, 2e9))
    assert estimate.host_at(sample) == pytest.approx(true_ns, abs=200_000)


def test_the_first_packet_already_gives_an_estimate():
    estimate = RigClock(RATE_HZ).observe(400, START_NS)
    assert (estimate.sample_index, estimate.host_ns, estimate.sample_ns) == (400, START_NS, 50_000)


def test_a_first_packet_that_waited_is_soon_known_as_late():
    clock = RigClock(RATE_HZ)
    clock.observe(PACKET, START_NS + 300_000_000)
    estimate = None
    for k in range(2, 60):
        waited_ns = START_NS + 305_000_000 + k * 1000
        estimate = clock.observe(k * PACKET, max(waited_ns, START_NS + k * 10_000_000)) or estimate
    assert estimate.host_at(59 * PACKET) == START_NS + 590_000_000


def test_seconds_in_which_everything_was_held_up_are_left_out():
    clock, estimate = RigClock(RATE_HZ), None
    for sample, arrival_ns, _ in arrivals(20, 0.0):
        held = 100_000_000 if 10 <= sample / RATE_HZ < 12 else 0
        estimate = clock.observe(sample, arrival_ns + held) or estimate
    assert estimate.jumps == 0
    *_, (sample, _, true_ns) = arrivals(20, 0.0)
    assert estimate.host_at(sample) == pytest.approx(true_ns, abs=200_000)


def test_a_backlog_that_is_read_at_once_gives_few_estimates_and_the_newest_soon():
    clock = RigClock(RATE_HZ)
    told = [clock.observe(k * PACKET, START_NS + k * 50_000) for k in range(1, 81)]
    told += [clock.observe(k * PACKET, START_NS + 4_000_000 + (k - 80) * 10_000_000) for k in range(81, 90)]
    told = [estimate for estimate in told if estimate is not None]
    assert len(told) < 6
    assert told[-1].host_at(89 * PACKET) == START_NS + 94_000_000
