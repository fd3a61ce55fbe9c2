"""A recording is made again from its journal, and tells what is lost; a whole one is left alone."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import recorded_session as session

from wetloop.cli.main import main
from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.describe import describe
from wetloop.recording.journal import Safekeeping, journal_path
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover
from wetloop.recording.space import Space, SpaceGuard
from wetloop.recording.writer import Writer

SAMPLES = np.random.default_rng(0).integers(-999, 999, (50_000, 64)).astype(np.int16)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A recording with raw samples whose writer was cut off after two batches."""
    path = tmp_path_factory.mktemp("cut") / "session.nwb"
    writer = Writer(path, session.make_header(), raw_samples=True, safekeeping=Safekeeping("tables"))
    for seed in range(2):
        writer.append(**session.make_rows(seed, 50_000 * seed), samples=SAMPLES)
    writer.abort()
    return path


@pytest.fixture
def left(cut, tmp_path):
    shutil.copy(journal_path(cut), journal_path(tmp_path / "session.nwb"))
    return Path(shutil.copy(cut, tmp_path / "session.nwb"))


def test_tables_come_from_the_journal_and_raw_samples_from_the_file(left):
    before = left.read_bytes(), journal_path(left).read_bytes()
    report = recover(left)
    assert (left.read_bytes(), journal_path(left).read_bytes()) == before
    assert report.recovered == str(left.with_name("session.recovered.nwb"))
    with Recording(report.recovered) as recording:
        assert recording.complete
        assert recording.n_rows(schema.SPIKES) == 4000
        np.testing.assert_array_equal(recording.samples[:], np.concatenate([SAMPLES, SAMPLES]))
        assert recording.recovered["lost"] == report.lost
        assert recording.header["identifier"] == session.make_header().identifier
    assert report.lost == [
        {"what": "everything", "from_sample": 100_000, "to_sample": None, "from_s": 4.0, "to_s": None}
    ]


def test_a_damaged_chunk_of_raw_samples_becomes_zeros_and_is_told(left):
    with h5py.File(left) as file:
        chunk = file[f"{schema.RAW}/data"].id.get_chunk_info(3)
    with left.open("r+b") as file:
        file.seek(chunk.byte_offset + 100)
        file.write(b"\xff" * 8)
    report = recover(left)
    assert "2500 of 100000 raw samples are unreadable: zeros stand in their place" in report.notes
    with Recording(report.recovered) as recording:
        expected = np.concatenate([SAMPLES, SAMPLES])
        expected[7500:10_000] = 0
        np.testing.assert_array_equal(recording.samples[:], expected)


def test_a_damaged_column_costs_its_rows_where_there_is_no_journal(left):
    journal_path(left).unlink()
    with h5py.File(left, "a") as file:
        file["events/detected_spikes/amplitude_uv"].resize(3000, axis=0)
    report = recover(left)
    assert report.rows["events/detected_spikes"] == 3000
    assert report.acknowledged_sample == -1


def test_a_whole_recording_is_left_alone(tmp_path, capsys):
    session.write(tmp_path / "whole.nwb")
    assert main(["recover", str(tmp_path / "whole.nwb")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["whole.nwb"]


def test_the_command_recovers_and_reports(left, capsys):
    assert main(["recover", str(left), "--json", "--into", str(left.with_name("new.nwb"))]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"]["processing/behavior/decisions"] == 400
    assert describe(left.with_name("new.nwb"))["recovered"]["acknowledged_sample"] == 100_000
    assert f"wetloop recover {left}" in describe(left)["journal"]


def test_what_cannot_be_recovered_is_exit_code_5(tmp_path, capsys):
    (tmp_path / "junk.nwb").write_bytes(b"junk")
    assert main(["recover", str(tmp_path / "junk.nwb")]) == 5
    assert "nothing can be recovered" in capsys.readouterr().err
    assert main(["recover", str(tmp_path / "gone.nwb")]) == 5
    assert "no such file" in capsys.readouterr().err


def test_a_new_file_never_replaces_another(left):
    left.with_name("session.recovered.nwb").write_bytes(b"precious")
    with pytest.raises(RecordingError, match="never overwritten"):
        recover(left)


def test_the_guard_of_free_space_stops_samples_first_and_never_changes_its_mind():
    free_mb, now_s = [5000.0], [0.0]
    guard = SpaceGuard(Path("x"), 1000.0, lambda _: free_mb[0] * 1e6, lambda: now_s[0])
    seen = []
    for free in (5000, 1001, 999, 2000, 251, 249, 5000):
        free_mb[0], now_s[0] = free, now_s[0] + 1
        seen.append(guard.look(0))
    assert seen == [Space.AMPLE, Space.AMPLE, Space.LOW, Space.LOW, Space.LOW, Space.OUT, Space.OUT]


def test_a_fast_recording_keeps_five_minutes_of_data_free():
    guard = SpaceGuard(Path("x"), 1000.0, lambda _: 5e9, iter([0.0, 100.0]).__next__)
    assert guard.look(2_000_000_000) is Space.LOW


def test_raw_samples_stop_where_space_is_low_and_the_file_says_so(tmp_path):
    plenty_mb = shutil.disk_usage(tmp_path).free / 1e6
    safekeeping = Safekeeping("tables", reserve_mb=2 * plenty_mb)
    writer = Writer(tmp_path / "a.nwb", session.make_header(), raw_samples=True, safekeeping=safekeeping)
    for seed in range(2):
        writer.append(**session.make_rows(seed, 50_000 * seed), samples=SAMPLES)
        writer.flush()
    writer.finish({"ended": "completed"})
    with Recording(tmp_path / "a.nwb") as recording:
        assert recording.samples.shape[0] == 50_000
        assert recording.n_rows(schema.SPIKES) == 4000
        assert recording.summary == {"ended": "completed", "raw_samples_stopped_at": 50_000}
