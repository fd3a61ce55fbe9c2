"""Everything that is shipped works: each configuration runs and replays, the sample recording still verifies."""

import json
from pathlib import Path

import pytest

from wetloop.cli.main import main
from wetloop.config import load_config
from wetloop.replay import verify

ROOT = Path(__file__).parents[2]
REAL = sorted((ROOT.parent / "shared" / "data").glob("*.h5"))


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_runs_and_its_recording_verifies(config, tmp_path, capsys):
    if config.stem == "atari_pong":
        pytest.importorskip("ale_py")
    arguments = ["--accelerated", "--duration", "4s", "--json", "--set", f"recording.folder={tmp_path}"]
    assert main(["run", str(config), *arguments]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["decisions"] == 4000 / load_config(config, []).decision_ms
    assert main(["replay", summary["file"], "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"]


def test_the_sample_recording_still_gives_the_same_decisions():
    report = verify(ROOT / "recordings" / "sample-culture.nwb")
    assert report.differences == []
    assert report.decisions == 6000


@pytest.mark.parametrize("path", REAL or [None], ids=lambda path: path.stem if path else "none")
def test_a_real_culture_plays_pong_and_cannot_react(path, tmp_path, capsys):
    if path is None:
        pytest.skip("the real recordings are not at hand; they are not part of the project")
    config = ROOT / "configs" / "pong_recorded.yaml"
    arguments = ["--accelerated", "--duration", "2min", "--set", f"source.path={path}"]
    assert main(["run", str(config), *arguments, "--set", f"recording.folder={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "cannot react" in said
    assert verify(next(tmp_path.glob("*.nwb"))).agrees
