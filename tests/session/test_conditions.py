"""Control conditions, played: what makes each one a control, that nothing else changes, and that replays agree."""

import json

import h5py
import numpy as np
import pytest

from wetloop import assembly, conditions
from wetloop.cli.main import main
from wetloop.config import parse_config
from wetloop.recording.reader import Recording
from wetloop.recording.windows import batches
from wetloop.replay import compare, verify

SETTINGS = (
    "source.cells=200", "source.settle_s=5", "task.crossing_s=0.5", "duration=35",
    "feedback.rest_s=0.3", "feedback.random.duration_s=0.5",
)  # fmt: skip


@pytest.fixture
def played(play):
    """Play a condition; give its summary and the recording's rows in play."""

    def run(condition, *settings):
        summary = play(*SETTINGS, f"condition={condition}", *settings)
        with Recording(summary.file) as recording:
            decisions, spikes = recording.decisions(), recording.spikes()
            regions = recording.layout.regions
        region = [np.bincount(regions[b.spikes["channel_index"]] + 1, minlength=3) for b in batches(spikes, decisions)]
        playing = decisions["playing"] == 1
        return summary, decisions[playing], np.array(region)[playing]

    return run


@pytest.mark.parametrize("condition", conditions.CONTROLS)
def test_a_control_differs_from_the_stimulus_condition_in_what_is_decoded_only(played, condition):
    summary, decisions, regions = played(condition)
    report = verify(summary.file)
    assert report.differences == []
    assert report.spikes == summary.spikes > 1000
    assert regions.sum() == decisions["n_spikes"].sum() > 500
    assert {kind for kind, fates in summary.pulses.items() if fates["delivered"]} == {
        "sensory",
        "predictable",
        "random",
    }
    assert not summary.decoder_fitted
    on_true_spikes = compare(summary.file, parse_config("", "x.yaml", list(SETTINGS)))
    assert on_true_spikes.share > 0.5


def test_zero_spikes_never_moves_the_paddle(played):
    _, decisions, regions = played("zero_spikes")
    assert regions[:, 1:].sum() > 300
    assert (decisions["action"] == 0).all()
    assert len(np.unique(decisions["observation"][:, 4])) == 1


def test_shuffled_channels_lose_the_difference_of_the_regions(played):
    def correlation(condition):
        _, decisions, regions = played(condition)
        ratio = np.convolve(regions[:, 1] - regions[:, 2], np.ones(10), "full")[: len(regions)]
        return np.corrcoef(ratio, decisions["action"][:, 0])[0, 1]

    assert correlation("stimulus") > 0.4
    assert abs(correlation("shuffled_channels")) < 0.25


def test_random_actions_are_spread_evenly(played):
    _, decisions, _ = played("random_actions")
    actions = decisions["action"][:, 0]
    assert np.histogram(actions, 5, (-1, 1))[0] == pytest.approx(len(actions) / 5, rel=0.2)
    assert abs(np.corrcoef(actions[1:], actions[:-1])[0, 1]) < 0.1


def test_a_fitted_decoder_is_marked_and_replays_without_its_file(play, tmp_path, capsys):
    files = [play(*SETTINGS).file for _ in range(2)]
    weights = tmp_path / "weights.json"
    assert main(["fit-decoder", *files, "--out", str(weights), "--alpha", "10", "--lags", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["held_out_r2"][0] > 0.2
    assert len(told["recordings"]) == 2
    summary = play(*SETTINGS, "decoder=linear", f"decoder.weights={weights}")
    weights.unlink()
    assert summary.decoder_fitted
    with Recording(summary.file) as recording:
        assert recording.header["decoder_fitted"]
        assert recording.config["decoder"]["weights"]["sha256"] == told["sha256"]
        assert len(np.unique(recording.decisions()["action"])) > 100
    assert verify(summary.file).agrees


def test_the_decoder_gives_what_it_was_fitted_to(play, tmp_path, capsys):
    file, weights = play(*SETTINGS).file, tmp_path / "weights.json"
    arguments = ["--target", "ball_y", "--minus", "paddle_y", "--out", str(weights), "--alpha", "100", "--json"]
    assert main(["fit-decoder", file, *arguments]) == 0
    (held_out,) = json.loads(capsys.readouterr().out)["held_out_r2"]
    config = parse_config("", "x.yaml", [*SETTINGS, "decoder=linear", f"decoder.weights={weights}"])
    with Recording(file) as recording:
        decisions, spikes = recording.decisions(), recording.spikes()
        decoder = assembly.players(assembly.setting_on(recording.info, config)).decoder
    actions = [
        decoder.decode(batch, held=not playing)[0]
        for batch, playing in zip(batches(spikes, decisions), decisions["playing"], strict=True)
    ]
    above = decisions["observation"][:, 1] - decisions["observation"][:, 4]
    playing = np.flatnonzero(decisions["playing"])[1:]
    told = np.corrcoef(np.array(actions)[playing], above[playing - 1])[0, 1]
    assert told**2 > max(0.1, held_out)


def test_what_cannot_be_fitted_is_refused(play, tmp_path, capsys):
    file, out = play(*SETTINGS, "condition=zero_spikes").file, tmp_path / "weights.json"
    for arguments, said in (
        (("--target", "ball"), "take action, or one of ball_x, ball_y"),
        (("--target", "paddle_y"), "paddle_y never changes"),
        (("--folds", "50"), "a fit in 50 blocks takes 5000 or more"),
    ):
        assert main(["fit-decoder", file, "--out", str(out), *arguments]) == 2
        assert said in capsys.readouterr().err
        assert not out.exists()


def test_recordings_that_do_not_belong_together_are_not_fitted(play, tmp_path, capsys):
    files = [play(*SETTINGS, "duration=5", *more).file for more in ((), ("layout.sensory_rows=2",))]
    assert main(["fit-decoder", *files, "--out", str(tmp_path / "weights.json")]) == 2
    assert f"{files[1]} differs from {files[0]} in channels" in capsys.readouterr().err


def test_several_actions_are_played_side_by_side(play):
    parts = "[{kind: population-vector, actions: [paddle], regions: [2, 0]}]"
    summary = play(*SETTINGS, "layout.regions=3", "decoder=combined", f"decoder.parts={parts}")
    assert verify(summary.file).agrees
    with Recording(summary.file) as recording:
        assert len(np.unique(recording.decisions()["action"])) > 100


def test_sessions_are_compared_by_condition(play, capsys):
    files = [
        play(*SETTINGS, f"condition={c}", seed=s).file for c, s in (("stimulus", 1), ("stimulus", 2), ("silent", 1))
    ]
    assert main(["compare", *files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["sessions"] for row in told["conditions"]] == [2, 1]
    rewards = [row["reward_per_min"] for row in told["recordings"]]
    group = told["conditions"][0]["reward_per_min"]
    assert group["mean"] == pytest.approx(np.mean(rewards[:2]))
    assert group["sd"] == pytest.approx(np.std(rewards[:2], ddof=1))
    assert told["settings_that_differ"] == {}
    assert list(told["rules_out"]) == ["silent"]
    assert main(["compare", *files]) == 0
    said = capsys.readouterr().out
    assert "Conditions, mean (SD)" in said
    assert "without feedback pulses" in said


def test_the_numbers_compared_are_those_of_the_summary(play, capsys):
    summary = play(*SETTINGS)
    assert main(["compare", summary.file, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["recordings"]
    minutes = row["minutes_in_play"]
    assert row["episodes"] == summary.rallies
    assert row["mean_hits"] == pytest.approx(summary.mean_rally_length)
    events = {name: round(rate * minutes) for name, rate in row["events_per_min"].items()}
    assert events == summary.events
    assert row["reward_per_min"] * minutes == pytest.approx(events["hit"] - events["miss"])
    assert row["pulses"] == sum(fates["delivered"] for fates in summary.pulses.values())
    assert row["decisions_in_play"] / 6000 == pytest.approx(minutes)


def test_different_settings_and_tasks_are_told(play, capsys):
    one, other = (play(*SETTINGS, "duration=5", f"task.paddle={p}").file for p in (0.3, 0.5))
    assert main(["compare", one, other]) == 0
    assert "Beside the condition, task.paddle differs: 0.3, 0.5" in capsys.readouterr().out
    with h5py.File(other, "r+") as file:
        config = json.loads(file["scratch/config"].asstr()[()])
        config["task"]["kind"] = "doom"
        del file["scratch/config"]
        file["scratch/config"] = json.dumps(config)
    assert main(["compare", one, other]) == 1
    assert "of different tasks (pong, doom): do not compare their scores" in capsys.readouterr().out
