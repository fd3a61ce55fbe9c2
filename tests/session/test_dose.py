import dataclasses
import json
from pathlib import Path

import h5py
import pytest

from wetloop.assembly import describe
from wetloop.cli.main import main
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError, GuardError
from wetloop.provenance import REQUIRED, admit
from wetloop.recording.dose import Ledger
from wetloop.recording.reader import Recording

TOLD = dict.fromkeys(REQUIRED, "7")


@pytest.fixture
def given(tmp_path):
    return [f"care.ledger={tmp_path / 'ledger'}", "subject.culture_id=C/12", "source.kind=poisson", "duration=2s"]


def test_each_session_adds_what_it_delivered(play, given, tmp_path):
    files = [Path(play(*given).file) for _ in range(2)]
    dose = Ledger(tmp_path / "ledger", "C/12").dose()
    pulses, charge = 0, 0.0
    for file in files:
        with Recording(file) as recording:
            delivered = recording.pulses()["fate"] == 0
            pulses += int(delivered.sum())
            sizes = [len(electrodes) for electrodes in recording.pulse_electrodes()]
            charge += float((recording.pulse_parameters()["charge_nc"] * sizes)[delivered].sum())
    assert (dose.sessions, dose.pulses, dose.unaccounted) == (2, pulses, [])
    assert sum(dose.charge_nc.values()) == pytest.approx(charge)
    assert dose.hours == pytest.approx(4 / 3600)
    assert pulses > 0


@pytest.mark.parametrize("limit", ["max_pulses=1", "max_charge_nc=0.001", "max_hours=0.0001"])
def test_a_culture_that_had_its_dose_is_left_in_peace(play, given, limit, tmp_path):
    play(*given, f"care.limits.{limit}")
    with pytest.raises(GuardError, match=rf"culture C/12 has had its dose .*care.limits.{limit.split('=')[0]}"):
        play(*given, f"care.limits.{limit}")
    assert Ledger(tmp_path / "ledger", "C/12").dose().sessions == 1


def test_a_killed_session_is_missed_until_its_recording_is_added(play, given, tmp_path, capsys):
    file = play(*given[2:]).file
    book = Ledger(tmp_path / "ledger", "C/12")
    with book.session(tmp_path / "session1.nwb"):
        pass
    lines = book.path.read_text().splitlines()
    book.path.write_text(lines[0] + "\n")
    with pytest.raises(GuardError, match=r"whose dose is unknown.*session1\.nwb"):
        play(*given, "care.limits.max_pulses=100000")
    command = ["dose", "C/12", "--ledger", str(tmp_path / "ledger"), "--json"]
    assert main(command) == 1
    assert json.loads(capsys.readouterr().out)["unaccounted"] == [str(tmp_path / "session1.nwb")]
    for _ in range(2):
        assert main([*command, "--add", file]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["sessions"], found["unaccounted"]) == (1, [])
    assert main(["dose", "C/13", "--ledger", str(tmp_path)]) == 2


def test_a_ledger_needs_a_name_and_limits_need_a_ledger(play, given):
    with pytest.raises(ConfigError, match=r"subject\.culture_id"):
        play(given[0], *given[2:])
    with pytest.raises(ConfigError, match=r"care\.ledger"):
        play(*given[1:], "care.limits.max_hours=1")


def test_a_living_culture_must_be_described():
    def on_a_rig(*settings):
        config = parse_config("", "test", settings)
        info = describe(config)[0].info
        admit(config, info)
        admit(config, dataclasses.replace(info, real_time=True))

    told = [f"subject.{name}={value}" for name, value in TOLD.items()]
    on_a_rig(*told)
    on_a_rig("care.waive_provenance=saline, no cells")
    with pytest.raises(ConfigError, match=r"subject does not tell passage, .*approval.*care\.waive_provenance"):
        on_a_rig(*(line for line in told if "passage" not in line and "approval" not in line))


def test_provenance_stands_where_nwb_wants_it(play):
    told = ["passage=3", "coating=PEI", "medium=BrainPhys", "approval=A-17", "cell_line=iPSC"]
    summary = play("source.kind=poisson", "duration=1s", *(f"subject.{line}" for line in told))
    with h5py.File(summary.file) as file:
        description = file["general/subject/description"].asstr()[()]
        assert file["general/protocol"].asstr()[()] == "A-17"
    assert "Passage: 3. Coating: PEI. Medium: BrainPhys." in description
