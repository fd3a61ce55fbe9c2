"""The sessions and protocols of the papers, much shortened: played, measured, replayed to the last bit."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from wetloop.cli.main import main
from wetloop.config import load_config
from wetloop.core.types import Kind
from wetloop.experiments.metrics import measured
from wetloop.recording.reader import Recording
from wetloop.replay import verify
from wetloop.session import run_session

CONFIGS = Path(__file__).parents[2] / "configs"
MS = 25
QUICK = ("source.settle_s=2", "source.cells=400", "duration=14")
REMOVAL = (
    "task.rate_hz=5", "encoder.max_rate_hz=5", "task.pretest_stimuli=10", "task.most_stimuli=8",
    "task.of_stimuli=5", "task.start_ratio=0.3", "feedback.events.removed.hold_ms=500",
    "feedback.events.chosen.hold_ms=500",
)  # fmt: skip
WALK = (
    "task.period_s=0.5", "encoder.max_rate_hz=5", "task.pretest_probes=2", "feedback.duration_ms=200",
    "feedback.background.duration_s=0.2", "feedback.background.rate_hz=30",
)  # fmt: skip


@pytest.fixture
def recorded(tmp_path):
    """Play a shipped session with changes and return what was recorded, once it has been replayed."""

    def play(name, *settings):
        config = load_config(CONFIGS / f"{name}.yaml", [f"recording.folder={tmp_path}", *QUICK, *settings])
        path = Path(run_session(config, accelerated=True).file)
        assert verify(path).agrees
        with Recording(path) as recording:
            rows = recording.decisions(), recording.pulses(), recording.spikes(), recording.header["event_names"]
            return path, *rows

    return play


def happened(decisions, names, event):
    return (decisions["events"] >> names.index(event) & 1).astype(bool)


def responses_by_hand(pulses, spikes, channel):
    """Return whether the electrode fired 40 to 60 ms after each pulse, from the recorded rows alone."""
    known = spikes["known_sample"][spikes["channel_index"] == channel]
    return [((known >= at + 40 * MS) & (known < at + 60 * MS)).any() for at in pulses["sample_index"].tolist()]


@pytest.mark.parametrize("removal", ["contingent", "yoked"])
def test_responses_are_those_of_the_recorded_spikes_and_rest_is_silent(recorded, removal):
    path, decisions, pulses, spikes, names = recorded("stimulus_removal", *REMOVAL, f"task.removal={removal}")
    stimulus, response = happened(decisions, names, "stimulus"), happened(decisions, names, "response")
    target = int(decisions["observation"][-1, 2])
    found = responses_by_hand(pulses, spikes, target)[10 : 10 + stimulus.sum()]
    assert found == response[stimulus].tolist()
    assert 0 < response.sum() < stimulus.sum()
    removed = decisions["stop_sample"][happened(decisions, names, "removed")]
    assert len(removed) > 1
    for at in removed.tolist():
        assert not ((pulses["sample_index"] > at) & (pulses["sample_index"] < at + 500 * MS)).any()
    values = measured(path, ("stimuli_to_criterion", "responses_percent"), {"all": (0, 14)}).metrics
    assert 1 <= values["stimuli_to_criterion"]["all"] <= 8
    assert values["responses_percent"]["all"] == pytest.approx(100 * response.sum() / stimulus.sum())


def test_an_animat_is_trained_after_movements_off_target_alone(recorded):
    path, decisions, pulses, _, names = recorded("animat", *WALK)
    missed, hit = happened(decisions, names, "off_target"), happened(decisions, names, "on_target")
    training = pulses["sample_index"][pulses["kind"] == Kind.PREDICTABLE]
    starts = training[np.diff(training, prepend=-(10**9)) > 200 * MS]
    assert len(starts) == missed.sum() > hit.sum() > 0
    assert (starts - decisions["stop_sample"][missed] == 20 * MS).all()
    assert np.isin(Kind.RANDOM, pulses["kind"])
    share = 100 * hit.sum() / (hit.sum() + missed.sum())
    assert measured(path, ("on_target_percent",), {"all": (0, 14)}).metrics["on_target_percent"]["all"] == share


@pytest.mark.parametrize("choice", ["adaptive", "none"])
def test_a_coach_trains_after_poor_trials_and_pauses_the_pole(recorded, choice):
    path, decisions, pulses, _, names = recorded("cartpole_coach", "task.step_ms=20", f"feedback.choice={choice}")
    assert happened(decisions, names, "fall").sum() > 20
    assert (decisions["playing"] == 0).sum() >= 50
    assert (pulses["kind"] == Kind.PREDICTABLE).any() == (choice == "adaptive")
    metrics = measured(path, ("episode_s", "proficient_percent"), {"all": (0, 14)}).metrics
    assert 0.1 < metrics["episode_s"]["all"] < 2
    assert metrics["proficient_percent"]["all"] == 0


def test_one_command_plays_a_paper_with_its_controls_and_shows_what_was_published(tmp_path, capsys):
    told = yaml.safe_load((CONFIGS / "papers" / "shahaf_marom.yaml").read_text())
    few = tmp_path / "shahaf_marom.yaml"
    changes = {
        "session": str(CONFIGS / "stimulus_removal.yaml"), "set": [*QUICK, *REMOVAL], "cultures": {"seeds": 2},
        "windows": {"early": [0, 8], "late": [8, 14]}, "resamples": 99,
    }  # fmt: skip
    few.write_text(yaml.safe_dump(told | changes))
    arguments = ["experiment", str(few), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ours"] == "a model: simulated cultures"
    assert {arm["condition"] for arm in result["arms"]} == {"contingent", "yoked", "plasticity_blocked"}
    first = result["arms"][0]
    assert first["rose"] + first["fell"] <= first["cultures"] == 2
    assert result["published"][0]["ours"]["value"] is not None
    assert main(arguments) == 0
    assert "Ours is a model: simulated cultures." in capsys.readouterr().out
