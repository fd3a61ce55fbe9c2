import json

import pytest
from experiment_files import run_rows, write_protocol

from wetloop.cli.main import main
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.experiments import load
from wetloop.experiments.metrics import FORMULAS, measured
from wetloop.experiments.plan import made_from
from wetloop.experiments.runner import Workers, run_experiment
from wetloop.experiments.statistics import compare
from wetloop.recording.reader import Recording
from wetloop.session import run_session

TINY = {
    "name": "tiny",
    "session": {
        "source": {"kind": "poisson"}, "duration": "4s", "task": {"crossing_s": 0.3}, "feedback": {"kind": "silent"},
    },
    "set": ["feedback.rest_s=0.1", "feedback.random.duration_s=0.1"],
    "cultures": {"seeds": 2},
    "metrics": ["rally_length", "paddle_per_s"],
    "resamples": 99,
}  # fmt: skip


@pytest.fixture
def protocol(tmp_path):
    """Write a protocol with these changes and return its path."""
    return lambda **changes: write_protocol(tmp_path, TINY | changes)


def test_the_plan_is_balanced_blinded_and_the_same_each_time(protocol):
    path = protocol(arms={"conditions": ["stimulus", "yoked", "rest"]}, cultures={"seeds": [7, 9]}, repeats=2)
    plan, key = made_from(path)
    assert made_from(path) == (plan, key)
    assert sorted(key.values()) == ["rest", "stimulus", "yoked"]
    by_arm = {arm: sorted((r["culture"], r["layout"], r["repeat"], r["seed"]) for r in plan["runs"] if r["arm"] == arm)
              for arm in key}  # fmt: skip
    assert len({tuple(sessions) for sessions in by_arm.values()}) == 1
    assert [s[:3] for s in by_arm["arm-A"]] == [
        ("culture-7", "as_given", 0), ("culture-7", "mirrored", 1),
        ("culture-9", "as_given", 1), ("culture-9", "mirrored", 0),
    ]  # fmt: skip
    assert len({run["seed"] for run in plan["runs"]}) == 4
    assert [run["arm"] for run in plan["runs"]] != sorted(run["arm"] for run in plan["runs"])


def test_results_do_not_depend_on_the_number_of_workers(protocol, tmp_path):
    path, one, two = protocol(), tmp_path / "one", tmp_path / "two"
    told = []
    run_experiment(path, one, Workers(1), told.append)
    run_experiment(path, two, Workers(2))
    assert run_rows(one) == run_rows(two)
    assert [played.done for played in told] == [1, 2, 3, 4]
    assert (one / "key.json").read_text() == (two / "key.json").read_text()
    found = load(one)
    assert (found.complete, found.deviations) == (True, [])
    assert compare(found).to_dict() == compare(load(two)).to_dict()
    run = found.runs[0]
    with Recording(run.file) as recording:
        assert recording.header["condition"] == run.condition
    again = measured(run.file, ("rally_length",), {"early": (0, 1), "late": (1, 4)})
    assert (again.metrics["rally_length"], again.episodes) == (run.metrics["rally_length"], run.episodes)


def test_a_start_again_plays_what_is_missing_and_keeps_what_was_cut_off(protocol, tmp_path):
    path, folder = protocol(), tmp_path / "out"
    before = run_rows(run_experiment(path, folder, Workers()).folder)
    lines = (folder / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "runs.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:40])
    lost, told = json.loads(lines[3])["code"], []
    assert "3 of 4 runs" in load(folder).deviations[-1]
    run_experiment(path, folder, Workers(), told.append)
    assert [played.code for played in told] == [lost]
    assert run_rows(folder) == before
    assert (folder / "recordings" / f"{lost}.unfinished-1.nwb").exists()


def test_whatever_differs_from_what_was_registered_is_told(protocol, tmp_path):
    folder = tmp_path / "out"
    run_experiment(protocol(cultures={"seeds": 1}), folder, Workers())
    run_experiment(protocol(cultures={"seeds": 1}, metrics=["aces_percent"]), folder, Workers())
    deviations = "\n".join(load(folder).deviations)
    assert "protocol.yaml has been changed since it was registered" in deviations
    assert "what was registered is run, though the protocol now differs in protocol" in deviations
    text = (folder / "runs.jsonl").read_text()
    (folder / "runs.jsonl").write_text(text.replace('"wetloop": "', '"wetloop": "9.').replace('"seed": ', '"seed": 1'))
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace('"alpha": 0.05', '"alpha": 0.1'))
    deviations = "\n".join(load(folder).deviations)
    assert "run-0001 differs from its plan in seed" in deviations
    assert "run-0001 was run with other versions than registered: wetloop 9." in deviations
    assert "its SHA-256 does not fit" in deviations


def test_a_run_that_fails_is_told_and_the_others_are_played(protocol, tmp_path, capsys):
    full = {"more": {"full": {"set": ["recording.reserve_mb=1.0e+12"]}}, "conditions": ["stimulus", "yoked"]}
    path, folder = protocol(cultures={"seeds": 1}, arms=full), tmp_path / "out"
    assert main(["experiment", str(path), "--out", str(folder), "--quiet"]) == 3
    assert "failed: RecordingError" in capsys.readouterr().out
    assert {run.condition for run in load(folder).runs} == {"stimulus", "yoked"}


def test_who_learns_adds_the_arms_that_tell_and_says_what_is_left_out(protocol):
    plan = made_from(protocol(arms={"who_learns": True})).plan
    assert {"zero_spikes", "poisson_spikes", "shuffled_channels"} <= set(plan["arms"])
    assert {"decoder_frozen", "replayed"} <= set(plan["left_out"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": ["score"]}, r"protocol.yaml:\d+:\d+: metrics.0: "),
        ({"arms": {"control": "nobody"}}, "arms.control: 'nobody' is no arm"),
        ({"set": ["task.paddel=1"]}, "task.paddel"),
        ({"session": "nowhere.yaml"}, "no such file: nowhere.yaml"),
        ({"arms": {"conditions": ["stimulus", "yoked", "sleep"]}}, "condition"),
    ],
)
def test_a_protocol_that_cannot_be_run_is_refused_before_anything_is_written(protocol, changes, words):
    with pytest.raises(ConfigError, match=words):
        made_from(protocol(**changes))


def test_the_command_says_what_it_would_do_and_what_it_found(protocol, tmp_path, capsys):
    path, folder = str(protocol(cultures={"seeds": 1})), tmp_path / "out"
    assert main(["experiment", path, "--dry-run"]) == 0
    assert "The claim: rally_length changes more" in capsys.readouterr().out
    assert not folder.exists()
    assert main(["experiment", path, "--out", str(folder), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["runs"], result["deviations"]) == ({"planned": 2, "finished": 2}, [])
    assert result["verdict"].startswith("No claim")
    assert "cannot react" in result["flat"]["stimulus"]
    assert main(["experiment", path, "--out", str(folder), "--quiet"]) == 0
    assert "Deviations from what was registered" in capsys.readouterr().out


def test_metrics_are_those_of_the_session_itself(tmp_path):
    given = [f"recording.folder={tmp_path}", "recording.name=one", "source.kind=poisson", "duration=20s"]
    summary = run_session(parse_config("", "test", [*given, "task.crossing_s=0.3"]), accelerated=True)
    found = measured(tmp_path / "one.nwb", tuple(FORMULAS), {"all": (0, 20)})
    assert found.episodes["all"] == summary.rallies > 1
    assert found.metrics["rally_length"]["all"] == pytest.approx(summary.mean_rally_length)
    assert found.metrics["aces_percent"]["all"] == pytest.approx(summary.aces_percent)
    assert 0 < found.metrics["paddle_per_s"]["all"] < 2
