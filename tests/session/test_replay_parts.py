"""Any part of a recording can be compared or played, at any pace; what lies outside of it is left out."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import pytest

from wetloop.cli.main import main
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.recording.comparison import Part, Rows, section_of
from wetloop.recording.reader import Recording
from wetloop.replay import play as play_part
from wetloop.replay import play_again, verify
from wetloop.replay_show import PartPace, Show
from wetloop.session import run_session

RATE_HZ = 25_000
QUICK = ("duration=6", "task.crossing_s=0.5", "feedback.random.duration_s=0.5", "feedback.rest_s=0.5")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    settings = parse_config("", "test", [f"recording.folder={folder}", *QUICK])
    return Path(run_session(settings, accelerated=True).file)


@pytest.fixture
def altered(recorded, tmp_path):
    """Change decision 300 (3.00 to 3.01 s), the pulse nearest to 3 s, and what the decoder saw of the nearest spike."""
    path = Path(shutil.copy(recorded, tmp_path / "altered.nwb"))
    with h5py.File(path, "r+") as file:
        file["processing/behavior/decoder/data"][300] += 0.5
        for table, column in (("events/stimulation", "voice"), ("events/detected_spikes", "amplitude_uv")):
            samples = file[f"{table}/sample_index"][:]
            file[f"{table}/{column}"][abs(samples - 3 * RATE_HZ).argmin()] += 1
    return path


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        (Part(), 0, 600),
        (Part(2.0, 3.0), 200, 300),
        (Part(stop_s=0.05), 0, 5),
        (Part(5.9), 590, 600),
        (Part(2.001, 2.02), 201, 202),
        (Part(-5, 99), 0, 600),
    ],
)
def test_a_part_agrees_and_holds_what_was_written_in_it(recorded, part, first, last):
    report = verify(recorded, part=part)
    assert report.agrees
    assert report.differences_before == 0
    assert report.decisions == last - first
    assert (report.from_s, report.to_s) == (first / 100, last / 100)
    assert report.replayed_from_s == 0
    with Recording(recorded) as recording:
        rows = Rows.of(recording)
        known_s = rows.spikes["known_sample"] / RATE_HZ
        assert report.spikes == ((known_s >= first / 100) & (known_s < last / 100)).sum()
        whole = section_of(rows, Part(), RATE_HZ)
        assert (len(whole.spikes), len(whole.pulses)) == (len(rows.spikes), len(rows.pulses))
        assert rows.blocks["n_pulses"].sum() == len(rows.pulses)
        assert rows.blocks["n_spikes"].sum() == len(rows.spikes)


def test_parts_side_by_side_hold_every_row_once(recorded):
    with Recording(recorded) as recording:
        rows = Rows.of(recording)
    sections = [section_of(rows, Part(k, k + 1), RATE_HZ) for k in range(6)]
    for name in ("decisions", "blocks", "spikes", "pulses"):
        ranges = [getattr(section, name) for section in sections]
        assert all(a.stop == b.start for a, b in pairwise(ranges))
        assert (ranges[0].start, ranges[-1].stop) == (0, len(getattr(rows, name)))


@pytest.mark.parametrize(
    ("part", "agrees", "before"),
    [(Part(2.5, 3.5), False, False), (Part(0, 2.5), True, False), (Part(3.5, 5), True, True), (Part(), False, False)],
)
def test_only_differences_in_the_part_count(altered, part, agrees, before):
    report = verify(altered, part=part)
    assert report.agrees == agrees
    assert (report.differences_before >= 2) == before
    if not agrees:
        assert any(s.startswith("decision 300 at 3.0100 s: ") and "action recorded" in s for s in report.differences)
        assert {s.split()[0] for s in report.differences} == {"decision", "pulse"}


@pytest.mark.parametrize("part", [Part(6.0, 7.0), Part(3.0, 2.0), Part(2.001, 2.005)])
def test_a_part_without_a_decision_is_refused(recorded, part):
    with pytest.raises(ConfigError, match=r"no decision in this part; .* 0 to 6 s"):
        verify(recorded, part=part)


def test_a_part_is_played_with_a_word_on_how_it_goes(recorded):
    told = []
    report = play_part(recorded, Part(2.0, 5.0), Show(1000.0, told.append))
    assert told[0].phase == "replaying what comes before the part"
    assert all(progress.duration_s == 3.0 and progress.events["spikes/s"] > 0 for progress in told[1:])
    assert [progress.rig_s for progress in told[1:]] == sorted({progress.rig_s for progress in told[1:]})
    assert report.same_as_recorded
    assert report.decisions == 300
    with Recording(recorded) as recording:
        decisions = recording.decisions()[200:500]
        for bit, name in enumerate(recording.header["event_names"]):
            assert report.events[name] == (decisions["events"] >> bit & 1).sum()
        assert report.spikes == decisions["n_spikes"].sum()
    assert report.events["hit"] + report.events["miss"] > 0


def test_a_part_is_paced_from_its_start_on(recorded):
    pace = PartPace(10 * RATE_HZ, 1e3 * RATE_HZ)
    assert [pace.wait(k * RATE_HZ) for k in range(11)] == [0.0] * 11
    slow = verify(recorded, part=Part(1.0, 1.2), show=Show(2.0, None))
    assert slow.agrees
    assert slow.seconds_wall >= 0.09


def test_the_command_line_plays_and_verifies_parts(recorded, altered, capsys):
    assert main(["replay", str(recorded), "--from", "1", "--to", "2", "--speed", "1000", "--json"]) == 0
    played = json.loads(capsys.readouterr().out)
    assert (played["from_s"], played["to_s"], played["decisions"]) == (1.0, 2.0, 100)
    arguments = ["replay", str(altered), "--verify", "--from", "2.5", "--to", "3.5"]
    assert main([*arguments, "--speed", "1000", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["decisions"] == 100
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "Replay DIFFERS" in said
    assert "what comes before the part was replayed, too, but not compared" in said
    assert main(["replay", str(recorded), "--with", "x.yaml", "--speed", "1"]) == 2


@pytest.mark.parametrize("section", ["source", "stimulator"])
def test_a_replay_needs_neither_driver_nor_culture(recorded, tmp_path, section):
    path = Path(shutil.copy(recorded, tmp_path / "elsewhere.nwb"))
    with h5py.File(path, "r+") as file:
        config = json.loads(file["scratch/config"].asstr()[()])
        config[section] = {"kind": "driver-of-another-laboratory", "setting": 1}
        del file["scratch/config"]
        file["scratch/config"] = json.dumps(config)
    assert verify(path).agrees


def test_modules_that_a_recording_names_are_imported_only_on_trust(play):
    summary = play(
        "task.kind=gymnasium", "task.id=CartPole-v1", "task.modules=[colorsys]", "encoder.kind=none",
        "feedback.kind=none", "duration=1",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"a replay would import colorsys, which the recording names.*--trust"):
        verify(summary.file)
    with Recording(summary.file) as recording, pytest.raises(ConfigError, match="--trust"):
        next(play_again(recording))
    assert verify(summary.file, trusted=True).agrees
    assert main(["replay", str(summary.file), "--quiet"]) == 2
    assert main(["replay", str(summary.file), "--quiet", "--trust"]) == 0
