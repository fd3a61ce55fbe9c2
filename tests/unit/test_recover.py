"""A recording is made again from its journal, and tells what is lost; a whole one is left alone."""

import json
import os
import shutil
import subprocess
import sys
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
from wetloop.recording.raw import compression_of
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
    assert "2500 of 100000 raw samples are unreadable; zeros keep the place of those between" in report.notes
    assert (report.lost[-1]["what"], report.lost[-1]["from_sample"], report.lost[-1]["to_sample"]) == (
        "raw samples", 7500, 10_000,
    )  # fmt: skip
    with Recording(report.recovered) as recording:
        expected = np.concatenate([SAMPLES, SAMPLES])
        expected[7500:10_000] = 0
        np.testing.assert_array_equal(recording.samples[:], expected)


@pytest.mark.parametrize("compression", ["none", "gzip", "bitshuffle-lz4"])
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("loud", [True, False])
def test_raw_samples_keep_their_compression_and_every_bit(tmp_path, compression, finished, loud):
    path = tmp_path / "a.nwb"
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, (43_001, 64)).astype(np.int16)  # cannot be compressed
    samples = noise if loud else SAMPLES[:43_001]
    safekeeping = Safekeeping("tables", keep_journal=True)
    writer = Writer(path, session.make_header(), raw_samples=True, compression=compression, safekeeping=safekeeping)
    writer.append(**session.make_rows(n_decisions=170), samples=samples[:42_500])
    writer.append(samples=samples[42_500:])
    if finished:
        writer.finish({})
        assert recover(path).whole
        return
    writer.abort()
    report = recover(path)
    with Recording(report.recovered) as recording:
        assert compression_of(recording.samples) == compression
        np.testing.assert_array_equal(recording.samples[:], samples)


def test_without_hdf5plugin_nothing_is_taken_for_damage(tmp_path):
    path = tmp_path / "a.nwb"
    writer = Writer(path, session.make_header(), raw_samples=True, compression="bitshuffle-lz4")
    writer.append(**session.make_rows(), samples=SAMPLES)
    writer.finish({})
    (tmp_path / "hdf5plugin.py").write_text("raise ImportError\n")
    done = subprocess.run(
        [sys.executable, "-m", "wetloop", "recover", path],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "need hdf5plugin: pip install 'wetloop[lz4]'" in done.stderr
    assert not path.with_name("a.recovered.nwb").exists()


@pytest.mark.parametrize("percent", [30, 60, 90])
def test_a_file_without_its_end_gives_back_what_is_there(tmp_path, percent):
    path = tmp_path / "a.nwb"
    writer = Writer(path, session.make_header(), raw_samples=True)
    for batch in range(20):
        rows = session.make_rows(batch, 5000 * batch, 20)
        writer.append(**rows, samples=SAMPLES[5000 * (batch % 10) :][:5000])
        writer.flush()
    writer.abort()
    with h5py.File(path) as file:
        stored = file[f"{schema.RAW}/data"].id
        ends = [sum(stored.get_chunk_info(k)[2:]) for k in range(stored.get_num_chunks())]
    size = path.stat().st_size * percent // 100
    os.truncate(path, size)
    n_chunks = [end <= size for end in ends].index(False)
    report = recover(path)
    assert report.raw_samples == 2500 * n_chunks > 0
    with Recording(report.recovered) as recording:
        np.testing.assert_array_equal(recording.samples[:50_000], SAMPLES[: report.raw_samples])
        assert {schema.LOST_SAMPLES, "everything"} <= {loss["what"] for loss in report.lost}
    assert path.stat().st_size == size


def test_rows_that_cannot_be_read_are_told_with_their_time(left):
    journal_path(left).unlink()
    with h5py.File(left) as file:
        chunk = file["processing/behavior/decisions/start_sample"].id.get_chunk_info(0)
    with left.open("r+b") as file:
        file.seek(chunk.byte_offset + 4)
        file.write(b"\xff" * 8)
    report = recover(left)
    assert report.rows["processing/behavior/decisions"] == 0
    assert report.rows["events/detected_spikes"] == 4000
    assert [loss for loss in report.lost if "decisions" in loss["what"]] == [
        {
            "what": "rows of processing/behavior/decisions",
            "from_sample": 0,
            "to_sample": None,
            "from_s": 0.0,
            "to_s": None,
        }
    ]


def test_work_that_is_broken_off_leaves_no_file(left):
    def on_progress(share):
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(left, on_progress=on_progress)
    assert sorted(p.name for p in left.parent.iterdir()) == ["session.nwb", "session.nwb.journal"]
    seen = []
    assert recover(left, on_progress=seen.append).recovered
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


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
