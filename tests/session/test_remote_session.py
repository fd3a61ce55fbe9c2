"""The examples of a task and of an agent in another program, for real: played, frozen, and replayed without them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wetloop.cli.main import main
from wetloop.config import load_config
from wetloop.core.errors import ConfigError, TaskError
from wetloop.kernels.records import DELIVERED
from wetloop.net.keys import new_keys
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ("source.settle_s=0", "recording.name=remote")
BALANCED = "source={kind: poisson}"
"""Neither half of the dish is the more active one for long."""


@pytest.fixture
def program(tmp_path):
    """Start an example that serves; it ends with the test."""
    started = []

    def start(name, *arguments):
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--address", "tcp://127.0.0.1:0", *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        address = started[-1].stdout.readline().split()[-1]
        settings = (f"task.address={address}", f"recording.folder={tmp_path}", *SMALL)
        return started[-1], EXAMPLES / f"{name}.yaml", settings

    yield start
    for process in started:
        end(process)


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_example_of_a_task_is_played_and_replayed_without_it(program, capsys):
    process, config, settings = program("remote_task")
    summary = run_session(load_config(config, (*settings, "duration=3")), accelerated=True)
    process.terminate()
    assert process.wait(60) == 0
    assert summary.events["fall"] == summary.episodes > 0
    assert summary.task == {"reused": 0, "restarted": 0}
    with Recording(summary.file) as recording:
        observations, pictures = recording.decisions()["observation"], recording.frames()[:]
        assert recording.header["observation_names"][2] == "pole angle"
    assert (observations.std(axis=0) > 0).all()
    assert pictures[-1].std() > 0
    assert main(["replay", summary.file, "--verify", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["agrees"], report["task_rerun"]) == (True, False)
    assert main(["replay", summary.file, "--verify"]) == 0
    assert "its answers were taken from the file" in " ".join(capsys.readouterr().out.split())


def test_an_agent_is_told_counts_and_what_it_asks_for_goes_through_the_guard(program):
    process, config, settings = program("remote_agent")
    summary = run_session(load_config(config, (*settings, "duration=4", BALANCED)), accelerated=True)
    end(process)
    with Recording(summary.file) as recording:
        decisions, spikes, pulses = recording.decisions(), recording.spikes(), recording.pulses()
        assert list(recording.patterns) == ["requested left", "requested right"]
    counted = decisions["action"].sum(axis=0)
    assert decisions["action"].shape[1] == 64
    seen = spikes[(spikes["excluded"] == 0) & (spikes["known_sample"] < decisions["stop_sample"][-1])]
    np.testing.assert_array_equal(counted, np.bincount(seen["channel_index"], minlength=64))
    delivered = pulses[pulses["fate"] == DELIVERED]
    assert set(delivered["pattern"]) == {0, 1}
    for pattern in (0, 1):
        assert np.diff(delivered["sample_index"][delivered["pattern"] == pattern]).min() >= 1250
    assert (decisions["observation"].max(axis=0) > 10).all()
    assert verify(Path(summary.file)).agrees


def test_a_frozen_program_is_bridged_in_real_time_met_again_and_replays(program):
    process, config, settings = program("remote_agent")
    frozen = iter((signal.SIGSTOP, signal.SIGCONT))
    due_s = iter((0.5, 1.5, float("inf")))
    wait = [next(due_s)]

    def on_progress(progress):
        if progress.rig_s > wait[0]:
            os.kill(process.pid, next(frozen))
            wait[0] = next(due_s)

    settings = (*settings, "task.restart_after_s=0.2", "duration=4")
    summary = run_session(load_config(config, settings), accelerated=False, on_progress=on_progress)
    end(process)
    assert summary.ended == "completed"
    assert summary.task["reused"] > 0
    assert summary.task["restarted"] > 0
    with Recording(summary.file) as recording:
        decisions = recording.decisions()
    late = decisions["answer"] != 0
    assert late.any()
    assert verify(Path(summary.file)).agrees


def test_a_session_whose_program_is_missing_says_where_it_looked(tmp_path):
    settings = (f"recording.folder={tmp_path}", *SMALL, "task.connect_s=0.05", "task.address=tcp://127.0.0.1:9")
    with pytest.raises(TaskError, match=r"tcp://127\.0\.0\.1:9 \(is a program serving there\?"):
        run_session(load_config(EXAMPLES / "remote_task.yaml", settings), accelerated=True)
    assert not list(tmp_path.iterdir())


def test_a_program_with_keys_answers_the_rig_and_nobody_else(program, tmp_path):
    new_keys(tmp_path / "keys")
    new_keys(tmp_path / "strangers")
    (tmp_path / "strangers" / "remote.public").write_bytes((tmp_path / "keys" / "remote.public").read_bytes())
    _, config, settings = program("remote_task", "--keys", str(tmp_path / "keys"))
    for wrong in (f"task.keys={tmp_path / 'strangers'}", "task.keys=null"):
        with pytest.raises(TaskError, match="did not start"):
            run_session(load_config(config, (*settings, wrong, "task.connect_s=0.5")), accelerated=True)
    right = (*settings, f"task.keys={tmp_path / 'keys'}", "duration=0.2")
    assert run_session(load_config(config, right), accelerated=True).decisions == 10


def test_a_session_refuses_an_agent_that_could_break_a_limit(program):
    _, config, settings = program("remote_agent")
    with pytest.raises(ConfigError, match="requested: 20 Hz on one electrode is over the limit of 15 Hz"):
        run_session(load_config(config, (*settings, "guard.limits={max_rate_hz: 15}")), accelerated=True)
    with pytest.raises(ConfigError, match="counts tells 2 channels, but the task takes 64"):
        run_session(load_config(config, (*settings, "decoder.channels=[3, 4]")), accelerated=True)
    with pytest.raises(ConfigError, match="the task shows no 'top'"):
        run_session(load_config(config, (*settings, "encoder.pulses={top: {electrodes: [1]}}")), accelerated=True)
