import json
import re
import signal
import sys
from pathlib import Path

import pytest
import yaml

from wetloop.cli import new_config, progress, render
from wetloop.cli.main import main
from wetloop.cli.output import finite, outline
from wetloop.config import load_config, parse_config
from wetloop.config.models import CHOICES, SessionConfig
from wetloop.engine.signals import stop_on_signal
from wetloop.registry import find
from wetloop.session import Progress

SUMMARY = {
    "condition": "stimulus",
    "source": "culture",
    "reacts": True,
    "ended": "completed",
    "duration_s": 300.0,
    "wall_s": 30.0,
    "decisions": 30000,
    "late_decisions": 2,
    "events": {"hit": 12, "miss": 8},
    "rallies": 8,
    "mean_rally_length": 1.5,
    "aces_percent": 25.0,
    "long_rallies_percent": None,
    "spikes": 54321,
    "task": {"reused": 7, "restarted": 1},
    "pulses": {
        "sensory": {"delivered": 900, "late": 0, "refused_rate": 3},
        "random": {"delivered": 40},
        "reflex": {"late": 0},
    },
    "lost_samples": 0,
    "file": "recordings/x.nwb",
}


@pytest.fixture
def wetloop(capsys, tmp_path, monkeypatch):
    """Run a command line in an empty folder; give its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def broken_source(tmp_path, monkeypatch):
    """Install a source whose rig fails when it is built."""
    metadata = tmp_path / "brokenpack-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brokenpack\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[wetloop.sources]\nbroken = broken_rig:Broken\n")
    (tmp_path / "broken_rig.py").write_text(
        "from wetloop.core.errors import RigError\n"
        "from wetloop.core.plugin import SourceConfig\n\n\n"
        "class Broken(SourceConfig):\n"
        "    unplugged: bool = True\n\n"
        "    def build(self, seed):\n"
        "        if self.unplugged:\n"
        "            raise RigError('no rig answers: is it switched on?')\n"
        "        return 1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "broken"
    sys.modules.pop("broken_rig", None)


def test_version_and_help(wetloop):
    code, out, _ = wetloop("--version")
    assert code == 0
    assert re.fullmatch(r"wetloop \d+\.\d+\.\d+\n", out)
    code, out, _ = wetloop("--help")
    assert code == 0
    assert all(name in out for name in ("run", "replay", "inspect", "new-config", "drivers", "Exit codes"))


@pytest.mark.parametrize(
    "arguments", [["walk"], ["run"], ["run", "x.yaml", "--fast"], ["replay", "f", "--verify", "--with", "g"]]
)
def test_bad_usage_is_exit_code_2(wetloop, arguments):
    code, out, err = wetloop(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err


def test_a_faulty_configuration_is_explained_on_stderr(wetloop, tmp_path):
    (tmp_path / "x.yaml").write_text("sede: 1\n")
    code, out, err = wetloop("run", "x.yaml", "--seed", "-1", "--condition", "sleep", "--duration", "soon")
    assert (code, out) == (2, "")
    assert "x.yaml:1:1: sede: unknown key; did you mean 'seed'?" in err
    for name in ("seed", "condition", "duration"):
        assert f"--set {name}: " in err
    assert "Traceback" not in err


def test_a_missing_configuration_is_exit_code_2(wetloop):
    code, _, err = wetloop("run", "gone.yaml")
    assert code == 2
    assert "gone.yaml: cannot be read: No such file or directory" in err


def test_debug_shows_the_traceback_wherever_it_stands(wetloop):
    for arguments in (("--debug", "run", "gone.yaml"), ("run", "gone.yaml", "--debug")):
        code, _, err = wetloop(*arguments)
        assert code == 2
        assert "Traceback" in err


def test_a_failing_rig_is_exit_code_3(wetloop, broken_source, tmp_path):
    (tmp_path / "x.yaml").write_text(f"source: {broken_source}\n")
    code, _, err = wetloop("run", "x.yaml", "--dry-run")
    assert code == 3
    assert err == "wetloop: no rig answers: is it switched on?\n"


def test_an_unexpected_error_is_one_line_and_a_hint(wetloop, broken_source, tmp_path):
    (tmp_path / "x.yaml").write_text(f"source: {{kind: {broken_source}, unplugged: false}}\n")
    code, _, err = wetloop("run", "x.yaml", "--dry-run")
    assert code == 1
    assert err.startswith("wetloop: unexpected ZeroDivisionError: division by zero\n")
    assert "--debug" in err
    assert "Traceback" not in err


def test_a_pulse_over_the_limit_is_exit_code_4(wetloop, tmp_path):
    (tmp_path / "x.yaml").write_text("source: poisson\nguard: {limits: {max_amplitude_mv: 80}}\n")
    code, out, err = wetloop("run", "x.yaml", "--dry-run")
    assert (code, out) == (4, "")
    assert "150 mV is over the limit of 80 mV" in err


def test_a_new_configuration_gives_the_default_session(wetloop, tmp_path):
    code, out, err = wetloop("new-config")
    assert (code, out) == (0, "")
    assert "wetloop run pong.yaml" in err
    assert load_config(tmp_path / "pong.yaml").model_dump() == parse_config("", "none").model_dump()


def test_a_new_configuration_explains_every_setting():
    text = new_config.example("pong")
    models = [SessionConfig, *(find(choice.group, choice.default) for choice in CHOICES.values())]
    for model in models:
        for name, field in model.model_fields.items():
            assert re.search(rf"^ *#?{name}:", text, re.MULTILINE), name
            if name != "kind" and field.description:
                assert field.description.split()[0] in text


def test_an_existing_file_is_never_replaced(wetloop, tmp_path):
    (tmp_path / "pong.yaml").write_text("mine")
    code, _, err = wetloop("new-config", "--task", "pong")
    assert code == 2
    assert "is not replaced" in err
    assert (tmp_path / "pong.yaml").read_text() == "mine"
    assert wetloop("new-config", "no/such/folder.yaml")[0] == 2


def test_new_config_writes_elsewhere_and_lists(wetloop, tmp_path):
    code, out, _ = wetloop("new-config", "-")
    assert code == 0
    assert yaml.safe_load(out)["task"]["kind"] == "pong"
    assert list(tmp_path.iterdir()) == []
    assert {"chemotaxis", "doom", "gymnasium", "pong"} <= set(wetloop("new-config", "--list")[1].split())
    code, _, err = wetloop("new-config", "--task", "pung")
    assert code == 2
    assert "did you mean 'pong'" in err


def test_drivers_tell_which_plug_ins_can_be_imported(wetloop, tmp_path, monkeypatch):
    metadata = tmp_path / "labpack-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: labpack\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[wetloop.sources]\nlab = no_such_module:Lab\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, _ = wetloop("drivers", "--json")
    assert code == 0
    rows = {(row["group"], row["kind"]): row for row in json.loads(out)["drivers"]}
    assert rows["tasks", "pong"]["error"] is None
    assert "no_such_module" in rows["sources", "lab"]["error"]
    code, out, _ = wetloop("drivers")
    assert code == 0
    assert re.search(r"tasks +pong +wetloop +\S+ +ready", out)


def test_a_dry_run_writes_nothing(wetloop, tmp_path):
    (tmp_path / "x.yaml").write_text("source: poisson\n")
    code, out, _ = wetloop("run", "x.yaml", "--dry-run", "--set", "task.paddle=0.45")
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]
    for expected in ("paddle: 0.45", "  0  1  2  3  4  5  6  7\n", "sensory 0 to sensory 7", "together"):
        assert expected in out


def test_a_dry_run_in_json_is_one_object(wetloop, tmp_path):
    (tmp_path / "x.yaml").write_text("source: poisson\nrecording: {raw_samples: true}\n")
    code, out, _ = wetloop("run", "x.yaml", "--dry-run", "--json", "--duration", "2min")
    assert code == 0
    found = json.loads(out)
    assert found["config"]["duration"] == 120
    assert found["disk_mb_per_h"]["raw samples"] == pytest.approx(64 * 25_000 * 2 * 3600 / 1e6)
    by_kind = {row["kind"]: row for row in found["stimulation_per_min"]}
    assert by_kind["sensory"]["most_pulses"] == pytest.approx(40 * 60)
    assert 0 < by_kind["sensory"]["typical_pulses"] < 40 * 60
    assert by_kind["random"]["most_pulses"] == pytest.approx(5 * 60)


def test_a_dry_run_without_stimulation_expects_none(wetloop, tmp_path):
    (tmp_path / "x.yaml").write_text("source: poisson\n")
    code, out, _ = wetloop("run", "x.yaml", "--dry-run", "--json", "--condition", "rest")
    assert code == 0
    assert json.loads(out)["stimulation_per_min"] == []


def test_the_first_signal_asks_to_stop_and_the_second_interrupts(capfd):
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stimulation goes off" in capfd.readouterr().err


def test_progress_is_passed_on_at_most_once_an_interval():
    times, seen = iter([0.0, 1.0, 5.0, 6.0, 9.9, 10.5]), []
    report = progress.every(5.0, seen.append, lambda: next(times))
    steps = [Progress(float(i), 9.0, {}, 0) for i in range(5)]
    for step in steps:
        report(step)
    assert seen == [steps[1], steps[4]]


def test_what_is_being_prepared_is_told_at_once():
    seen = []
    report = progress.every(5.0, seen.append, lambda: 0.0)
    report(Progress(0.0, 9.0, {}, 0, "compiling"))
    assert [progress.score(step) for step in seen] == ["compiling"]


def test_the_live_score_names_events_and_late_decisions():
    assert progress.score(Progress(1.0, 9.0, {"hit": 3, "miss": 0}, 2)) == "hit 3, late decisions 2"
    assert progress.score(Progress(1.0, 9.0, {}, 0)) == "no events yet"


def test_progress_goes_to_stderr_line_by_line(capsys):
    with progress.progress_view(9.0, quiet=True) as report:
        assert report is None
    with progress.progress_view(9.0, quiet=False) as report:
        report(Progress(1.0, 9.0, {}, 0))
    assert capsys.readouterr().out == ""


def test_the_summary_shows_score_pulses_and_file(capsys):
    from wetloop.cli.output import show

    show(*render.summary_view(SUMMARY))
    out = capsys.readouterr().out
    for expected in (
        r"Session completed",
        r"mean rally length +1\.5 hits",
        r"long rallies +none",
        r"30000, 2 late",
        r"reused 7 times, restarted 1 times",
        r"10 x real time",
        r"pulses +delivered +refused rate",
        r"sensory +900 +3",
        r"random +40 +0",
        r"Recording: recordings/x\.nwb",
    ):
        assert re.search(expected, out), expected
    assert "cannot react" not in out
    assert "reflex" not in out


@pytest.mark.parametrize("refused", [0, 11])
def test_the_summary_of_real_time_says_what_the_rig_did_not_take(capsys, refused):
    from wetloop.cli.output import show

    real_time = {
        "late_blocks": 0, "triggers_late_at_rig": refused, "pulses_forwarded": 387, "permissions": {},
        "rig_clock": {"drift_ppm": 0.0, "jitter_us": 41.0, "jumps": 0},
    }  # fmt: skip
    show(*render.summary_view({**SUMMARY, "real_time": real_time}))
    out = " ".join(capsys.readouterr().out.split())
    assert ("not taken 11 of 387 pulses" in out) == bool(refused)
    assert "late packets 0" in out


def test_the_summary_says_where_nothing_could_react(capsys):
    from wetloop.cli.output import show

    show(*render.summary_view({**SUMMARY, "reacts": False, "pulses": {}}))
    assert "a recorded culture cannot react" in capsys.readouterr().out


def test_json_has_no_infinity_and_outlines_are_nested():
    assert finite({"a": [1.0, float("inf")], "b": ("x", float("nan"))}) == {
        "a": [1.0, None],
        "b": ["x", None],
    }
    nested = {"a": {"b": 1.5, "c": []}, "d": True, "pulses": {"random": {"delivered": 3, "late": 0}}, "e": {"f": 0}}
    assert outline(nested) == "a:\n  b: 1.5\n  c: none\nd: yes\npulses:\n  random: delivered 3\ne: none"


def test_every_example_configuration_can_be_rehearsed(capsys):
    folder = Path(__file__).parents[2] / "configs"
    names = sorted(folder.glob("*.yaml"))
    assert names
    for path in names:
        assert main(["run", str(path), "--dry-run", "--json"]) == 0, path
        kind = yaml.safe_load(path.read_text()).get("task", {}).get("kind", "pong")
        assert json.loads(capsys.readouterr().out)["config"]["task"]["kind"] == kind
