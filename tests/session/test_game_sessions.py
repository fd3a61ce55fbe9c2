"""The shipped games run, record and replay to the last bit, and tell what their rules say."""

import importlib.util
import json
from pathlib import Path

import pytest

from wetloop.cli.main import main
from wetloop.recording.reader import Recording

CONFIGS = Path(__file__).parents[2] / "configs"
needs_atari = pytest.mark.skipif(importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed")


@pytest.mark.parametrize(
    ("name", "setting", "told", "columns"),
    [
        ("cartpole", "task.step_ms=100", {"fall"}, 4),
        ("chemotaxis", "task.starve_s=8", {"starved"}, 11),
        pytest.param("atari_pong", "task.frame=render", {"miss"}, 3, marks=needs_atari),
    ],
)
def test_a_game_is_played_recorded_and_replayed(name, setting, told, columns, tmp_path, capsys):
    settings = [setting, "duration=20", "source.settle_s=2", f"recording.folder={tmp_path}"]
    arguments = [word for text in settings for word in ("--set", text)]
    assert main(["run", str(CONFIGS / f"{name}.yaml"), "--accelerated", "--json", *arguments]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["decisions"] == 2000
    assert {event for event, n in summary["events"].items() if n} >= told
    with Recording(summary["file"]) as recording:
        observations = recording.decisions()["observation"]
    assert observations.shape == (2000, columns)
    assert (observations.std(axis=0) > 0).all()
    assert main(["replay", summary["file"], "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"]
