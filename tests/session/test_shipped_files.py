"""Everything that is shipped works: each configuration runs and replays, the golden recordings still verify."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from wetloop.cli.main import main
from wetloop.config import load_config
from wetloop.emulation import bench
from wetloop.recording.reader import Recording
from wetloop.recording.schema import FORMAT_VERSION, PULSES, SPIKES, VERSION_ATTRIBUTE
from wetloop.registry import available
from wetloop.replay import verify

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "recordings").glob("sample-*.nwb"))
REAL = sorted((ROOT.parent / "shared" / "data").glob("*.h5"))


@contextmanager
def rig_of(config):
    """Start the emulators of the rig that a configuration names; say how fast a session can go on it."""
    emulated = available("wetloop.emulators")
    kinds = [kind for kind in dict.fromkeys((config.source.kind, config.stimulator.kind)) if kind in emulated]
    if not kinds:
        yield ["--accelerated"]
        return
    rate_hz = round(config.source.build(1).info.sampling_frequency)
    culture = [f"culture.signal={config.source.signal}", f"culture.sampling_frequency_hz={rate_hz}"]
    dish, emulators = bench(kinds, [*culture, "culture.settle_s=0"])
    ports = dish.start(emulators).get("ports")
    try:
        yield ["--set", f"stimulator.ports={list(ports)}"] if ports else []
        assert dish.failure is None
    finally:
        dish.close()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_runs_and_its_recording_verifies(path, tmp_path, capsys):
    if path.stem == "atari_pong":
        pytest.importorskip("ale_py")
    config = load_config(path)
    arguments = ["--duration", "4s", "--json", "--set", f"recording.folder={tmp_path}"]
    with rig_of(config) as speed:
        assert main(["run", str(path), *arguments, *speed]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["decisions"] == 4000 / config.decision_ms
    assert main(["replay", summary["file"], "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"]


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
