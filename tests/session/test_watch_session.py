"""Sessions that are watched: alarms in the file, their policies, trips that keep recording, and who is told."""

import json
import os
import sys
from pathlib import Path

import pytest

from wetloop.config import parse_config
from wetloop.kernels.records import DELIVERED, NOT_RUNNING
from wetloop.recording.describe import describe
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

APPEND = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read() + b'\\n')"
SILENCE = ("source.kind=poisson", "source.rate_hz=0.0000001", "watch.silent.after_s=5")
STORM = ("source.kind=poisson", "source.rate_hz=20", "watch.storm.after_s=3")


@pytest.fixture
def teller(tmp_path):
    """Return settings that have notifications written to a file, and what reads that file."""
    path = tmp_path / "told"
    command = json.dumps([sys.executable, "-c", APPEND, str(path)])
    return f"watch.notify.command={command}", lambda: [json.loads(line) for line in path.read_text().splitlines()]


def alarms(summary):
    return [(row["watch"], row["state"], row["sample_index"] / 25_000) for row in summary.alarms]


def test_silence_is_in_the_file_and_is_told(play, teller):
    setting, told = teller
    summary = play("duration=12", *SILENCE, setting)
    assert summary.ended == "completed"
    assert alarms(summary) == [("silent", "raised", 5.01)]
    entry = summary.alarms[0]
    assert (entry["value"], entry["limit"], entry["unit"], entry["policy"]) == (0.0, 0.05, "Hz", "continue")
    assert describe(Path(summary.file))["summary"]["alarms"] == [entry]
    (message,) = told()
    assert message == {
        "kind": "silent raised", "rig": "poisson", "culture_id": None, "file": summary.file, "suppressed": 0,
    } | entry  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "ended", "decisions"),
    [("pause", "completed", 1000), ("trip", "tripped", 1000), ("stop", "stopped", 301)],
)
def test_a_storm_pauses_trips_or_ends_and_replays(play, rows, policy, ended, decisions):
    summary = play("duration=10", *STORM, f"watch.storm.policy={policy}")
    assert alarms(summary) == [("storm", "raised", 3.01)]
    assert (summary.ended, summary.decisions) == (ended, decisions)
    assert summary.transitions[0]["who"] == "watch: storm"
    found = rows(summary)
    later = found["decisions"]["stop_sample"] > 3.02 * 25_000
    assert not found["decisions"]["playing"][later].any()
    fates = found["pulses"]["fate"][found["pulses"]["sample_index"] > 3.05 * 25_000]
    assert DELIVERED not in fates
    assert (NOT_RUNNING in fates) == (policy != "stop")
    assert verify(Path(summary.file)).agrees


def test_a_trip_keeps_recording_or_ends_the_session(play, rows, teller):
    setting, told = teller
    trips = ("duration=1min", "guard.limits.min_interval_ms=20", "guard.trip_refused_per_s=3", setting)
    summary, short = play(*trips), play(*trips, "guard.after_trip=end")
    assert (summary.ended, short.ended) == ("tripped", "tripped")
    assert (summary.guard_state, summary.decisions) == ("tripped", 6000)
    assert short.decisions < 6000
    assert [(row["state"], row["who"]) for row in summary.transitions] == [
        ("tripped", "guard"),
        ("disarmed", "session"),
    ]
    tripped_at = summary.transitions[0]["sample_index"]
    found = rows(summary)
    after = found["pulses"]["sample_index"] >= tripped_at
    assert DELIVERED not in found["pulses"]["fate"][after]
    assert (found["spikes"]["sample_index"] > tripped_at).sum() > 100
    assert not found["decisions"]["playing"][found["decisions"]["stop_sample"] >= tripped_at].any()
    assert [message["who"] for message in told() if message["kind"] == "tripped"] == ["guard", "guard"]
    assert verify(Path(summary.file)).agrees
    assert verify(Path(short.file)).agrees


def test_network_bursts_are_no_storm(play, rows):
    summary = play("duration=3min", seed=2)
    assert summary.alarms == []
    ms = rows(summary)["spikes"]["sample_index"] // 2500
    assert max(map(list(ms).count, set(ms[:2000]))) > 40


def test_a_disk_that_fills_up_is_an_alarm(play, tmp_path):
    told = os.statvfs(tmp_path)
    summary = play("duration=4", f"recording.reserve_mb={1.5 * told.f_bavail * told.f_frsize / 1e6}")
    (entry,) = summary.alarms
    assert (entry["watch"], entry["state"], entry["unit"]) == ("disk", "raised", "MB")
    assert entry["value"] < entry["limit"]
    assert summary.ended == "completed"


def test_a_session_that_fails_is_told(play, teller):
    setting, told = teller

    def fail(progress):
        if progress.rig_s > 3:
            raise RuntimeError("the screen fell off the wall")

    with pytest.raises(RuntimeError):
        play("duration=1min", setting, on_progress=fail)
    assert [(row["kind"], row["message"]) for row in told()] == [
        ("failed", "RuntimeError: the screen fell off the wall")
    ]


@pytest.mark.parametrize("policy", ["pause", "continue"])
def test_in_real_time_alarms_are_noted_and_replay(tmp_path, policy):
    storm = ("watch.storm.after_s=1", "source.signal=samples", "watch.noise.reference_s=1", "watch.noise.after_s=1")
    settings = [*storm, "watch.storm.above_hz=1", f"watch.storm.policy={policy}", "duration=4"]
    config = parse_config("", "live", [f"recording.folder={tmp_path}", *settings])
    summary = run_session(config, accelerated=False)
    assert ("storm", "raised") in [row[:2] for row in alarms(summary)]
    assert "noise" not in [row[0] for row in alarms(summary)]
    states = [row["state"] for row in summary.transitions]
    assert states[0] == "running"
    assert ("paused" in states) == (policy == "pause")
    with Recording(Path(summary.file)) as recording:
        assert recording.summary["alarms"] == summary.alarms
    assert verify(Path(summary.file)).agrees
