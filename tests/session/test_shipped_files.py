"""Everything that is shipped works: each configuration runs and replays, the golden recordings still verify."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from wetloop.cli.main import main
from wetloop.config import load_config
from wetloop.recording.reader import Recording
from wetloop.recording.schema import FORMAT_VERSION, PULSES, SPIKES, VERSION_ATTRIBUTE
from wetloop.registry import available
from wetloop.replay import verify

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "recordings").glob("sample-*.nwb"))
REAL = sorted((ROOT.parent / "shared" / "data").glob("*.h5"))


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
OF_RIGS = [path for path in CONFIGS if load_config(path, []).source.kind in available("wetloop.emulators")]


@pytest.mark.parametrize("config", [path for path in CONFIGS if path not in OF_RIGS], ids=lambda path: path.stem)
def test_every_configuration_runs_and_its_recording_verifies(config, tmp_path, capsys):
    if config.stem == "atari_pong":
        pytest.importorskip("ale_py")
    arguments = ["--accelerated", "--duration", "4s", "--json", "--set", f"recording.folder={tmp_path}"]
    assert main(["run", str(config), *arguments]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["decisions"] == 4000 / load_config(config, []).decision_ms
    assert main(["replay", summary["file"], "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"]


@pytest.mark.parametrize("config", OF_RIGS, ids=lambda path: path.stem)
def test_every_configuration_of_a_rig_fits_it_and_asks_for_its_emulator(config, capsys):
    assert main(["run", str(config), "--dry-run"]) == 0
    assert main(["run", str(config), "--accelerated"]) == 2
    assert "keeps its own time" in capsys.readouterr().err


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_recording_still_gives_the_same_decisions(path):
    with Recording(path) as recording:
        expected = recording.summary["decisions"], recording.n_rows(SPIKES), recording.n_rows(PULSES)
    report = verify(path)
    assert report.differences == []
    assert (report.decisions, report.spikes, report.pulses) == expected


def test_every_format_version_has_a_small_golden_recording():
    versions = set()
    for path in GOLDEN:
        with h5py.File(path) as file:
            versions.add(int(file.attrs[VERSION_ATTRIBUTE]))
        assert path.stat().st_size < 1_100_000
    assert versions == set(range(1, FORMAT_VERSION + 1))


def test_a_golden_recording_is_not_replaced_by_accident():
    before = [path.read_bytes() for path in GOLDEN]
    script = str(ROOT / "scripts" / "update_golden.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "say --replace" in done.stderr
    assert [path.read_bytes() for path in GOLDEN] == before


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
