"""A recorder that fails in a real-time session: noticed, told, answered as configured, and recovered."""

import json
import os
import signal
from pathlib import Path

import live_process
import pytest

from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover
from wetloop.replay import verify


@pytest.fixture
def start(tmp_path):
    sessions = []

    def begin(*settings):
        sessions.append(live_process.LiveSession(tmp_path, *settings))
        sessions[-1].play_on(2.5)
        return sessions[-1]

    yield begin
    for session in sessions:
        session.clean_up()


def check_recovered(session):
    report = recover(session.file)
    with Recording(report.recovered) as recording:
        assert len(recording.decisions()) > 100
        assert report.lost[-1]["from_sample"] >= report.acknowledged_sample > 0
    assert verify(Path(report.recovered)).differences == []


def test_a_dead_recorder_ends_the_session_which_can_be_recovered(start):
    session = start()
    session.signal("recorder", signal.SIGKILL)
    _, err = session.process.communicate(timeout=120)
    assert session.process.returncode == 5
    assert "the recorder process died" in err
    assert f"wetloop recover {session.file}" in err
    check_recovered(session)


def test_a_session_may_go_on_without_a_recorder_that_hangs(start):
    session = start("recording.on_failure=continue", "recording.patience_s=1")
    session.signal("recorder", signal.SIGSTOP)
    session.outlive("recorder")
    session.play_on(0.5)
    code, out, err = session.end()
    assert code == 5
    assert "the recorder was silent for" in err
    summary = json.loads(out)
    assert summary["ended"] == "interrupted"
    assert summary["real_time"]["recorder"]["longest_silence_s"] > 1
    assert [(row["watch"], row["unit"]) for row in summary["alarms"]] == [("recorder", "s of silence")]
    assert summary["dropped"]["spikes"] == 0
    check_recovered(session)


def test_a_recorder_that_stops_for_a_while_misses_nothing(start):
    session = start()
    session.signal("recorder", signal.SIGSTOP)
    session.play_on(1.5)
    session.signal("recorder", signal.SIGCONT)
    session.play_on(0.5)
    code, out, _ = session.end()
    assert code == 130
    summary = json.loads(out)
    assert summary["real_time"]["recorder"]["failure"] == ""
    assert summary["real_time"]["recorder"]["longest_silence_s"] > 1
    assert not any(summary["dropped"].values())
    assert verify(session.file).differences == []
    with Recording(session.file) as recording:
        assert len(recording.spikes()) >= summary["spikes"]  # the engine goes on while the session says goodbye
        assert len(recording.decisions()) == summary["decisions"]


def test_everything_killed_at_once_is_recovered(start):
    session = start()
    for pid in (session.roles["recorder"], session.process.pid, session.roles["engine"]):
        os.kill(pid, signal.SIGKILL)
    for role in session.roles:
        session.outlive(role)
    check_recovered(session)
