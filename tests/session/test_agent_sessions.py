"""Sessions and experiments in which agents play: recorded, measured and begun again like those of cultures."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from experiment_files import run_rows, write_protocol

from wetloop.cli.main import main
from wetloop.coding import agent
from wetloop.core.errors import ConfigError
from wetloop.experiments import load
from wetloop.experiments.metrics import measured
from wetloop.experiments.plan import made_from
from wetloop.experiments.runner import Workers, run_experiment
from wetloop.recording.reader import Recording
from wetloop.replay import play_again, verify

QUICK = ("condition=agent", "task.crossing_s=0.3", "feedback.rest_s=0.1", "feedback.random.duration_s=0.1")
HOW = (
    "needs stable-baselines3, an extra: pip install 'wetloop[agents]' (a CPU build of torch, installed "
    "first, spares the download of CUDA)"
)
needs_learners = pytest.mark.skipif(find_spec("stable_baselines3") is None, reason=HOW)

FEW = {
    "name": "few",
    "session": {
        "source": {"kind": "culture", "cells": 200, "settle_s": 1}, "duration": "6s", "task": {"crossing_s": 0.3},
    },
    "set": ["feedback.rest_s=0.1", "feedback.random.duration_s=0.1"],
    "arms": {
        "conditions": ["stimulus"],
        "more": {
            "chance": {"condition": "agent"},
            "drawn": {"condition": "agent", "set": ["agent.sees=image"]},
        },
        "control": "chance",
    },
    "cultures": {"first_seed": 601, "seeds": 2},
    "windows": {"early": [0, 2], "late": [2, 6], "rallies": 6},
    "metrics": ["rally_length", "aces_percent", "paddle_per_s"],
    "resamples": 99,
}  # fmt: skip


@pytest.fixture
def protocol(tmp_path):
    """Write a protocol with these changes and return its path."""
    return lambda **changes: write_protocol(tmp_path, FEW | changes)


def test_cultures_and_agents_are_compared_by_as_many_rallies_with_any_number_of_workers(protocol, tmp_path, capsys):
    path, one, two = protocol(), tmp_path / "one", tmp_path / "two"
    run_experiment(path, one, Workers(1))
    run_experiment(path, two, Workers(2))
    assert run_rows(one) == run_rows(two)
    found = load(one)
    assert (found.complete, found.deviations) == (True, [])
    assert {run.condition for run in found.runs} == {"stimulus", "chance", "drawn"}
    assert max(sum(run.episodes.values()) for run in found.runs) == 6
    assert main(["experiment", str(path), "--out", str(one), "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ours"] == "a model: simulated cultures; programs, not cultures: chance, drawn"
    assert told["flat"]["chance"] == "actions are drawn, whatever the task shows"
    assert all(arm["cultures"] == 2 for arm in told["arms"])


def test_an_agents_run_that_was_lost_is_played_again_and_comes_out_the_same(protocol, tmp_path):
    changed = {"conditions": [], "reference": "drawn"}
    path, folder = protocol(arms=FEW["arms"] | changed), tmp_path / "out"
    before = run_rows(run_experiment(path, folder, Workers()).folder)
    lines = (folder / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "runs.jsonl").write_bytes(b"".join(lines[:2]))
    told = []
    run_experiment(path, folder, Workers(), told.append)
    assert [played.code for played in told] == [json.loads(line)["code"] for line in lines[2:]]
    assert run_rows(folder) == before


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ({"condition": "agent", "set": ["agent.kind=sarsa"]}, "agent.kind"),
        ({"condition": "agent", "set": ["agent.sees=everything"]}, "agent.sees"),
        ({"condition": "agent", "set": ["task=chemotaxis"]}, "known of Pong alone"),
    ],
)
def test_an_arm_that_no_agent_can_play_is_refused_before_anything_is_written(protocol, arm, words):
    path = protocol(arms={"more": {"agent": arm}})
    with pytest.raises(ConfigError, match=words):
        made_from(path)


def test_a_missing_extra_is_told_before_anything_starts(protocol, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(agent, "EXTRA", "no_such_library")
    more = {"dqn": {"condition": "agent", "set": ["agent.kind=dqn"]}}
    path, folder = str(protocol(arms={"more": more})), tmp_path / "out"
    for arguments in (["--dry-run"], ["--out", str(folder)]):
        assert main(["experiment", path, *arguments]) == 2
        assert "pip install 'wetloop[agents]'" in capsys.readouterr().err
    assert not folder.exists()


def test_the_recording_of_an_agent_says_so_and_shows_its_game_but_no_replay_decides_again(play):
    summary = play(*QUICK, "duration=5s", "watch.silent.after_s=1", "watch.silent.policy=stop")
    assert (summary.condition, summary.ended, summary.alarms, summary.spikes) == ("agent", "completed", [], 0)
    assert sum(sum(fates.values()) for fates in summary.pulses.values()) == 0
    with Recording(summary.file) as recording:
        assert recording.config["agent"] == {"kind": "random", "sees": "ball"}
        assert set(np.unique(recording.decisions()["action"])) == {-1, 0, 1}
        assert sum(1 for _ in play_again(recording)) == summary.decisions == 500
    with pytest.raises(ConfigError, match="an agent played this session"):
        verify(Path(summary.file))


def test_only_the_first_rallies_count_where_so_many_are_wanted(play):
    file = Path(play(*QUICK, "duration=10s").file)
    spans, metrics = {"early": (0, 3), "late": (3, 10)}, ("rally_length", "paddle_per_s")
    everything = measured(file, metrics, spans)
    n_early, n_late = everything.episodes.values()
    assert n_late > 5
    few = measured(file, metrics, spans, n_early + 3)
    assert few.episodes == {"early": n_early, "late": 3}
    assert few.metrics["rally_length"]["early"] == everything.metrics["rally_length"]["early"]
    assert few.metrics["paddle_per_s"]["late"] != everything.metrics["paddle_per_s"]["late"]
    with Recording(file) as recording:
        hits = recording.episodes()["hits"][n_early : n_early + 3]
    assert few.metrics["rally_length"]["late"] == pytest.approx(hits.mean())
    assert measured(file, metrics, spans, 10_000) == everything


@needs_learners
@pytest.mark.parametrize("sees", ["image", "paddle_and_ball", "ball"])
@pytest.mark.parametrize("kind", ["dqn", "a2c", "ppo"])
@pytest.mark.filterwarnings("default")  # of the library and of PyTorch
def test_a_learner_plays_the_whole_session_and_the_same_again(play, rows, kind, sees):
    import torch

    threads = torch.get_num_threads()
    given = (*QUICK, "duration=4s", f"agent.kind={kind}", f"agent.sees={sees}")
    one, again, other = play(*given), play(*given), play(*given, seed=2)
    assert one.decisions == 400
    assert one.rallies > 2
    assert torch.get_num_threads() == threads
    assert np.array_equal(rows(one)["decisions"], rows(again)["decisions"])
    assert not np.array_equal(rows(one)["decisions"]["action"], rows(other)["decisions"]["action"])
