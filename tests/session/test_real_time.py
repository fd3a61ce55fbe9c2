"""Real time with real processes and real signals: nothing is lost, nothing goes on stimulating, every file is whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from live_process import ROOT

from wetloop.config import load_config, parse_config
from wetloop.engine.arena import segments
from wetloop.engine.live import now_host_ns
from wetloop.engine.waits import wait_position
from wetloop.kernels.records import DELIVERED, LATE, LEASE_EXPIRED, NOT_RUNNING
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

SECOND = 25000


def rows_of(path):
    with Recording(path) as recording:
        return recording.decisions(), recording.pulses(), recording.blocks()


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("source.signal=samples", "recording.raw_samples=true"),
        ("source.packet_samples=128", "source.latency_ms=5", "source.clock_drift_ppm=200", "plan_ms=20"),
    ],
    ids=["spikes", "raw samples", "packets, latency, drift"],
)
def test_a_session_in_real_time_loses_nothing_and_replays(tmp_path, settings):
    overrides = [f"recording.folder={tmp_path}", "duration=3", *settings]
    summary = run_session(parse_config("", "live", overrides), accelerated=False)
    assert summary.ended == "completed"
    assert summary.decisions == 300
    assert summary.lost_samples == 0
    delivered, facts = sum(fates["delivered"] for fates in summary.pulses.values()), summary.real_time
    assert delivered == facts["pulses_forwarded"] + facts["pulses_held_back"] + facts["pulses_unread"]
    told = facts["triggers_accepted_by_rig"], facts["triggers_late_at_rig"], facts["triggers_unread"]
    assert facts["pulses_forwarded"] == sum(told)
    assert facts["triggers_accepted_by_rig"] > 0
    assert not any(summary.dropped.values())
    assert set(summary.real_time["permissions"]) == {"source", "engine", "stimulator", "recorder"}
    _, _, blocks = rows_of(summary.file)
    assert (np.diff(blocks["start_sample"]) == blocks["n_samples"][:-1]).all()
    report = verify(Path(summary.file))
    assert report.differences == []
    assert report.detection_rerun == bool(settings and "raw_samples=true" in settings[-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_session_with_a_complete_file(played_live, number):
    session = played_live()
    session.process.send_signal(number)
    out, _ = session.process.communicate(timeout=120)
    assert session.process.returncode == 130
    summary = json.loads(out)
    assert summary["ended"] == "interrupted"
    with Recording(session.file) as recording:
        assert recording.complete
        assert recording.operator_commands()["voice"].tolist() == [1, 2, 0]
    assert verify(session.file).agrees


def test_a_stopped_session_falls_silent_within_the_lease_and_loses_no_sample(played_live):
    session = played_live()
    session.process.send_signal(signal.SIGSTOP)
    session.play_on(1.0)
    session.process.send_signal(signal.SIGCONT)
    session.wait_for("of 3600 s")
    code, out, _ = session.end()
    assert code == 130
    decisions, pulses, blocks = rows_of(session.file)
    assert (np.diff(blocks["start_sample"]) == blocks["n_samples"][:-1]).all()
    late = int(decisions["lateness_us"].argmax())
    assert decisions["lateness_us"][late] > 500_000
    silent_from = decisions["stop_sample"][late - 1] + 50 * 25
    woken_at = decisions["stop_sample"][late] + decisions["lateness_us"][late] / 1e6 * SECOND
    during = pulses[(pulses["sample_index"] >= silent_from) & (pulses["sample_index"] < woken_at - 25)]
    assert DELIVERED not in during["fate"]
    assert set(during["fate"].tolist()) <= {LATE, LEASE_EXPIRED}
    assert json.loads(out)["lost_samples"] == 0
    assert verify(session.file).agrees


def test_a_train_keeps_its_intervals_through_a_pause_within_the_lease(played_live):
    session = played_live(
        "guard.lease_ms=900", "encoder.hold_ms=900", "encoder.min_rate_hz=40", "encoder.max_rate_hz=40",
        "source.cells=100",
    )  # fmt: skip
    session.process.send_signal(signal.SIGSTOP)
    session.play_on(0.2)
    session.process.send_signal(signal.SIGCONT)
    session.play_on(0.2)
    session.end()
    decisions, pulses, _ = rows_of(session.file)
    late = int(decisions["lateness_us"].argmax())
    assert decisions["lateness_us"][late] > 100_000
    woken_at = decisions["stop_sample"][late] + decisions["lateness_us"][late] / 1e6 * SECOND
    during = (pulses["sample_index"] >= decisions["stop_sample"][late - 1]) & (pulses["sample_index"] < woken_at)
    sensory = pulses[during & (pulses["kind"] == 0)]
    assert len(sensory) >= 4
    assert set(sensory["fate"].tolist()) == {DELIVERED}
    assert set(np.diff(sensory["sample_index"])) == {625}


@pytest.mark.parametrize("role", ["engine", "source", "stimulator", "recorder"])
def test_a_dead_part_ends_the_session_by_name(played_live, role):
    session = played_live()
    name = session.arena_name
    session.signal(role, signal.SIGKILL)
    _, err = session.process.communicate(timeout=120)
    assert session.process.returncode in {3, 5}
    assert f"the {role} process died" in err
    with Recording(session.file) as recording:
        assert recording.complete == (role != "recorder")
    for other in session.roles:
        session.outlive(other)
    assert name not in [segment.name for segment in segments()]


def test_a_part_that_starts_too_late_to_see_its_session_die_knows_all_the_same():
    command = [sys.executable, ROOT / "tests" / "orphan_process.py"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "True")


def test_a_killed_session_is_survived_by_its_file(played_live):
    session = played_live()
    session.process.kill()
    for role in session.roles:
        session.outlive(role)
    with Recording(session.file) as recording:
        assert recording.complete
        assert recording.summary == {"ended": "session died", "raw_samples_missed": 0}
        assert len(recording.decisions()) > 0
    assert verify(session.file).agrees


@pytest.mark.parametrize("policy", ["pause", "trip"])
def test_overruns_pause_or_trip(tmp_path, policy):
    settings = [f"overrun.policy={policy}", "overrun.late_ms=0.001", "overrun.after=3", "duration=2"]
    summary = run_session(parse_config("", "live", [f"recording.folder={tmp_path}", *settings]), accelerated=False)
    _, pulses, _ = rows_of(summary.file)
    assert NOT_RUNNING in pulses["fate"] or policy == "trip"
    assert summary.ended == ("tripped" if policy == "trip" else "completed")
    assert summary.decisions == 200
    assert summary.transitions[1]["who"] == "overrun"
    assert verify(Path(summary.file)).agrees


def test_a_stalled_source_catches_up_and_loses_nothing(played_live):
    session = played_live()
    session.signal("source", signal.SIGSTOP)
    signal_later(session, 0.3)
    session.play_on(1.0)
    code, out, _ = session.end()
    assert code == 130
    summary = json.loads(out)
    decisions, _, blocks = rows_of(session.file)
    assert summary["lost_samples"] == 0
    assert (np.diff(blocks["start_sample"]) == blocks["n_samples"][:-1]).all()
    assert (np.diff(decisions["stop_sample"]) == 250).all()
    assert np.diff(blocks["arrival_ns"]).max() > 250_000_000
    assert verify(session.file).agrees


@pytest.mark.parametrize("policy", ["pause", "stop"])
def test_a_rig_that_is_lost_pauses_or_ends_the_session(played_live, policy):
    session = played_live("watch.lost.patience_s=0.6", f"watch.lost.policy={policy}")
    session.signal("source", signal.SIGSTOP)
    if policy == "stop":
        session.outlive("engine")
        session.signal("source", signal.SIGCONT)
        _, err = session.process.communicate(timeout=120)
        assert session.process.returncode == 3
        assert "the rig delivered nothing for 0.6 s after sample" in err
        with Recording(session.file) as recording:
            summary = recording.summary
        assert [(row["watch"], row["state"]) for row in summary["alarms"]] == [("lost", "raised")]
        return
    signal_later(session, 1.0)
    session.play_on(2.5)
    code, out, _ = session.end()
    summary = json.loads(out)
    assert (code, summary["lost_samples"]) == (130, 0)
    states = ["running", "paused", "running", "disarmed"]
    assert [row["state"] for row in summary["transitions"]] == states
    assert [(row["watch"], row["state"]) for row in summary["alarms"]] == [("lost", "raised"), ("lost", "over")]
    assert verify(session.file).agrees


def test_a_session_whose_rig_is_lost_can_be_ended(played_live):
    session = played_live("watch.lost.patience_s=0.1", "watch.lost.policy=continue")
    session.signal("source", signal.SIGSTOP)
    control = session.control
    wait_position(control, 2**62, now_host_ns() + 500_000_000)
    session.process.send_signal(signal.SIGINT)
    session.outlive("engine")
    session.signal("source", signal.SIGCONT)
    out, _ = session.process.communicate(timeout=120)
    assert json.loads(out)["ended"] == "interrupted"


def signal_later(session, seconds):
    """Let a stopped source go on after this long, by the engine's clock, which a stopped rig does not stop."""
    control = session.control
    wait_position(control, 2**62, now_host_ns() + round(seconds * 1e9))
    session.signal("source", signal.SIGCONT)


def test_a_reflex_answers_in_real_time_and_replays(tmp_path):
    config = Path(__file__).parents[2] / "configs" / "reflex.yaml"
    summary = run_session(load_config(config, [f"recording.folder={tmp_path}", "duration=6"]), accelerated=False)
    assert summary.dropped["reflex failures"] == 0
    assert sum(summary.pulses["reflex"].values()) > 0
    assert verify(Path(summary.file)).agrees
