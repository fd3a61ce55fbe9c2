"""The whole loop: same seed same bytes, any packet size, every condition, and an end that is always clean."""

import threading

import numpy as np
import pytest

from wetloop.core.errors import ConfigError, GuardError
from wetloop.kernels.records import DELIVERED
from wetloop.recording.reader import Recording

SECOND = 25000


def equal(a, b, *names):
    return {name: len(a[name]) == len(b[name]) and bool((a[name] == b[name]).all()) for name in names}


@pytest.mark.parametrize("signal", ["spikes", "samples"])
def test_same_seed_gives_the_same_spikes_decisions_and_pulses(play, rows, signal):
    first, again, other = (play(f"source.signal={signal}", "duration=12", seed=s) for s in (3, 3, 4))
    a, b, c = rows(first), rows(again), rows(other)
    assert all(equal(a, b, *a).values())
    assert not any(equal(a, c, "spikes", "decisions").values())
    assert first.spikes > 1000
    assert first.pulses["sensory"]["delivered"] > 20


@pytest.mark.parametrize("signal", ["spikes", "samples"])
def test_packets_of_any_size_give_the_same_session(play, rows, signal):
    common = (f"source.signal={signal}", "duration=8", "source.lead_ms=13", "plan_ms=30", "guard.lease_ms=80")
    reference = rows(play(*common, "source.packet_samples=25"))
    for packet in (37, 125, 128, 250):
        got = rows(play(*common, f"source.packet_samples={packet}"))
        end = reference["decisions"]["stop_sample"][-1]
        for each in (reference, got):
            each["spikes"] = each["spikes"][each["spikes"]["known_sample"] < end]
            each["pulses"] = each["pulses"][each["pulses"]["sample_index"] < end]
        same = equal(reference, got, "spikes", "pulses", "decisions")
        assert all(same.values()), (packet, same)


def test_stimulation_changes_what_the_culture_does(play, rows):
    with_pulses, without = (rows(play("duration=10", f"condition={c}")) for c in ("stimulus", "rest"))
    assert not any(equal(with_pulses, without, "spikes").values())


CONDITIONS = {
    "stimulus": {"sensory", "predictable", "random"},
    "silent": {"sensory"},
    "no_feedback": {"sensory"},
    "rest": set(),
    "yoked": {"sensory"},
    "noise": {"sensory", "predictable", "random"},
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_deliver_what_they_should_and_nothing_else(play, rows, condition):
    summary = play(f"condition={condition}", "duration=2min", "task.crossing_s=1", "source.cells=200"
                   if condition != "noise" else "seed=1")  # fmt: skip
    delivered = {kind for kind, fates in summary.pulses.items() if fates["delivered"]}
    assert delivered == CONDITIONS[condition] if condition != "yoked" else delivered > CONDITIONS[condition]
    decisions = rows(summary)["decisions"]
    held = (decisions["playing"] == 0).sum()
    assert (held == 0) == (condition == "no_feedback")
    assert summary.events["miss"] > 3
    assert summary.events["serve"] == (1 if condition == "no_feedback" else summary.events["serve"])
    assert summary.reacts == (condition != "noise")


def test_feedback_is_regular_after_a_hit_and_random_after_a_miss(play, rows):
    summary = play("duration=6min", "task.crossing_s=1", "task.paddle=0.5", "source.cells=200")
    pulses = rows(summary)["pulses"]
    with Recording(summary.file) as recording:
        names = list(recording.patterns)
        electrodes = recording.pulse_electrodes()
    hits = pulses[pulses["kind"] == 1]
    assert len(hits) == 10 * len(np.unique(hits["serial"])) >= 100
    assert set(hits["fate"].tolist()) == {DELIVERED}
    for serial in np.unique(hits["serial"]):
        assert set(np.diff(hits["sample_index"][hits["serial"] == serial])) == {SECOND // 100}
    assert {len(electrodes[k]) for k in np.flatnonzero(pulses["kind"] == 1)} == {8}
    misses = pulses[(pulses["kind"] == 2)]
    trains = [misses[misses["serial"] == serial] for serial in np.unique(misses["serial"])]
    intervals = np.concatenate([np.diff(t["sample_index"]) for t in trains]) / SECOND
    sites = np.bincount(misses["pattern"] - names.index("random 0"), minlength=8)
    assert len(trains) > 15
    assert 0.8 < intervals.std() / intervals.mean() < 1.2
    assert 0.15 < intervals.mean() < 0.25
    assert sites.min() > 0.5 * sites.mean()
    assert len({tuple(t["pattern"][:8]) for t in trains}) == len(trains)


def test_sensory_pulses_follow_the_ball(play, rows):
    summary = play("duration=60", "source.cells=200")
    got = rows(summary)
    pulses = got["pulses"][(got["pulses"]["kind"] == 0) & (got["pulses"]["fate"] == DELIVERED)]
    seen = got["decisions"][np.searchsorted(got["decisions"]["serial"], pulses["serial"])]["observation"]
    place = np.clip(((seen[:, 1] - seen[:, 4]) + 0.5) * 8, 0, 7).astype(int)
    assert (np.abs(place - pulses["pattern"]) <= 1).mean() > 0.95
    near, far = seen[:, 0] < 0.3, seen[:, 0] > 0.7
    assert near.sum() > 1.5 * far.sum()


def test_a_stop_ends_with_a_complete_file_and_silence(play):
    stop = threading.Event()
    summary = play("duration=1h", stop=stop, on_progress=lambda p: stop.set() if p.rig_s > 5 else None)
    assert summary.ended == "interrupted"
    assert summary.guard_state == "running"
    with Recording(summary.file) as recording:
        assert recording.complete
        assert len(recording.decisions()) == summary.decisions
        assert recording.summary["ended"] == "interrupted"


def test_a_session_that_fails_leaves_a_readable_file(play, tmp_path):
    def fail(progress):
        if progress.rig_s > 3:
            raise RuntimeError("the screen fell off the wall")

    with pytest.raises(RuntimeError, match="the screen"):
        play("duration=1min", on_progress=fail)
    with Recording(tmp_path / "session1.nwb") as recording:
        assert recording.complete
        assert recording.summary["ended"] == "failed"
        assert len(recording.decisions()) >= 300


def test_a_guard_trips_when_it_refuses_too_much(play):
    summary = play("duration=2min", "guard.limits.min_interval_ms=20", "guard.trip_refused_per_s=3")
    assert summary.ended == "tripped"
    assert summary.pulses["predictable"]["refused_interval"] >= 3


def test_a_plan_shorter_than_the_lead_is_refused(play):
    with pytest.raises(ConfigError, match=r"plan_ms 2 ms is shorter than the lead of culture \(5 ms\)"):
        play("plan_ms=2")


def test_a_table_beyond_the_limits_is_refused_before_anything_runs(play, tmp_path):
    with pytest.raises(GuardError, match="over the limit of 100 mV"):
        play("guard.limits.max_amplitude_mv=100")
    assert not list(tmp_path.iterdir())


def test_long_stretches_between_two_flushes_lose_nothing(play, rows):
    packets = ("source.packet_samples=13", "source.lead_ms=6", "decision_ms=100", "guard.lease_ms=300")
    summary = play("duration=200", "source.cells=100", *packets)
    assert not any(summary.dropped.values())
    blocks = rows(summary)["blocks"]
    assert (np.diff(blocks["start_sample"]) == 13).all()
    assert blocks["start_sample"][-1] > 199 * SECOND


def test_raw_samples_are_what_the_rig_delivered(play):
    summary = play("source.signal=samples", "duration=3", "recording.raw_samples=true", "condition=rest")
    with Recording(summary.file) as recording:
        samples = recording.samples
        assert samples.shape == (3 * SECOND, 64)
        rms_uv = samples[SECOND:].std(axis=0) * recording.info.gain_uv
        assert 4 < np.median(rms_uv) < 30
