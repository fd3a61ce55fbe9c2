"""What ``wetloop.open`` gives: views that are exact, know their units and read no more than is asked for."""

import shutil
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import recorded_session as session
from hypothesis import given
from hypothesis import strategies as st

import wetloop
from wetloop.core.errors import RecordingError
from wetloop.kernels.records import FATES, SPIKE
from wetloop.recording import schema
from wetloop.recording.fields import Field, array_fields, unit_of
from wetloop.recording.runs import Runs
from wetloop.recording.timeline import Timeline
from wetloop.recording.view import TableView

RATE_HZ = session.RATE_HZ
TABLES = ("spikes", "pulses", "decisions", "episodes", "blocks", "frames")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "session.nwb"
    return SimpleNamespace(path=path, rows=session.write(path, n_batches=2))


@pytest.fixture(scope="module")
def opened(recorded):
    with wetloop.open(recorded.path) as opened:
        yield opened


@pytest.fixture
def copied(recorded, tmp_path):
    return Path(shutil.copy(recorded.path, tmp_path / "copied.nwb"))


def test_importing_wetloop_imports_nothing_heavy():
    code = "import sys, wetloop; sys.exit(str([m for m in ('numpy', 'h5py', 'pandas') if m in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", ["spikes", "pulses", "decisions", "blocks"])
def test_rows_are_those_that_were_recorded(opened, recorded, name):
    rows, view = recorded.rows[name], getattr(opened, name)
    read = view.numpy()
    assert len(view) == len(read) == len(rows)
    for field in set(rows.dtype.names) - {"reserved"}:
        np.testing.assert_array_equal(read[field], rows[field])
    np.testing.assert_array_equal(read["time_s"], rows[_moment(name)] / RATE_HZ)


def _moment(name):
    return {"decisions": "stop_sample", "blocks": "start_sample"}.get(name, "sample_index")


@pytest.mark.parametrize("name", ["spikes", "pulses", "decisions", "blocks"])
@pytest.mark.parametrize(("start_s", "stop_s"), [(1.0, 3.0), (0.1, 0.1), (-5.0, 0.5), (3.9, 99.0), (0.37204, 0.37208)])
def test_between_takes_the_half_open_window(opened, recorded, name, start_s, stop_s):
    rows, moment = recorded.rows[name], _moment(name)
    start, stop = round(start_s * RATE_HZ), round(stop_s * RATE_HZ)
    expected = rows[moment][(rows[moment] >= start) & (rows[moment] < stop)]
    np.testing.assert_array_equal(getattr(opened, name).between(start_s, stop_s)[moment], expected)


def test_windows_side_by_side_share_no_row_and_lose_none(opened):
    edges_s = [0.0, 0.1, 0.7, 1.3, 2.9, 4.0]
    counts = [len(opened.spikes.between(a, b)) for a, b in pairwise(edges_s)]
    assert sum(counts) == len(opened.spikes)
    assert min(counts) > 50


def test_views_of_views(opened):
    whole = opened.spikes.numpy()
    np.testing.assert_array_equal(opened.spikes[100:200][10:-20].numpy(), whole[110:180])
    np.testing.assert_array_equal(opened.spikes[-5:].numpy(), whole[-5:])
    assert opened.spikes[7] == whole[7]
    assert opened.spikes[-1] == whole[-1]
    inside = whole[(whole["time_s"] >= 1) & (whole["time_s"] < 2)]
    np.testing.assert_array_equal(opened.spikes.between(0.5, 2).between(1, 3)[20:30].numpy(), inside[20:30])
    np.testing.assert_array_equal(np.concatenate([b.numpy() for b in opened.spikes.batches(700)]), whole)
    assert [row["sample_index"] for row in opened.pulses[:3]] == opened.pulses.numpy()["sample_index"][:3].tolist()


def test_a_column_is_read_when_it_is_indexed(opened, recorded):
    column, expected = opened.spikes["amplitude_uv"], recorded.rows["spikes"]["amplitude_uv"]
    np.testing.assert_array_equal(column, expected)
    np.testing.assert_array_equal(column[50:60], expected[50:60])
    np.testing.assert_array_equal(column[::100], expected[::100])
    np.testing.assert_array_equal(column[expected < -60], expected[expected < -60])
    assert column[-1] == expected[-1]
    assert np.mean(column) == np.mean(expected)
    assert list(opened.spikes[:4]["amplitude_uv"]) == expected[:4].tolist()
    assert column.field.unit == "uV"
    assert opened.decisions["observation"][3:5].shape == (2, 3)


def test_several_columns_are_a_smaller_table(opened):
    assert opened.spikes[["time_s", "amplitude_uv"]].numpy().dtype.names == ("time_s", "amplitude_uv")


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("amplitude", KeyError, "no column 'amplitude', but time_s"),
        (slice(10.0, 20.0), TypeError, r"between\(start_s, stop_s\)"),
        (slice(None, None, 2), ValueError, "every row"),
        (10_000, IndexError, "out of range"),
    ],
)
def test_what_cannot_be_sliced_is_refused_with_the_way_that_works(opened, key, error, message):
    with pytest.raises(error, match=message):
        opened.spikes[key]


def test_columns_state_the_units_that_their_names_promise(opened):
    for name in TABLES:
        columns = getattr(opened, name).columns
        assert all(column.description for column in columns.values())
        for column in columns.values():
            if column.unit not in {"", "a.u.", "samples"}:
                assert column.unit in column.description, (name, column.name)
    assert opened.pulses.columns["first_amplitude"].unit == "uA"
    assert opened.spikes.columns["known_sample"].unit == "samples"
    assert opened.blocks.columns["arrival_ns"].unit == "ns"
    assert unit_of("second_amplitude", "mV") == "mV"
    assert unit_of("n_spikes", "mV") == ""


def test_a_data_frame_tells_codes_in_words_and_parts_by_name(opened, recorded):
    pulses, rows, patterns = opened.pulses.pandas(), recorded.rows["pulses"], opened.patterns
    assert pulses["fate"].tolist() == [FATES[code] for code in rows["fate"]]
    assert pulses["pattern"].tolist() == [list(patterns)[k] for k in rows["pattern"]]
    channels = [list(map(int, text.split())) for text in pulses["electrodes"]]
    assert channels == [list(list(patterns.values())[k].channels) for k in rows["pattern"]]
    assert pulses.attrs["units"]["first_us"] == "us"
    assert pulses["charge_nc"][0] == pytest.approx(opened.pulses[0]["charge_nc"])
    decisions = opened.decisions.pandas()
    np.testing.assert_array_equal(decisions["observation_paddle"], recorded.rows["decisions"]["observation"][:, 2])
    np.testing.assert_array_equal(decisions["event_miss"], recorded.rows["decisions"]["events"] & 2 > 0)
    assert "events" not in decisions


def test_episodes_are_the_same_before_and_after_the_end(opened, tmp_path):
    writer = session.Writer(tmp_path / "running.nwb", session.make_header())
    for seed in range(2):
        writer.append(**session.make_rows(seed, 50_000 * seed))
    writer.flush()
    with wetloop.open(tmp_path / "running.nwb") as running:
        assert not running.complete
        assert len(running.episodes) > 3
        np.testing.assert_array_equal(running.episodes.numpy(), opened.episodes.numpy())
    writer.abort()


def test_an_older_recording_without_a_column_reads_as_zero(copied):
    with h5py.File(copied, "a") as file:
        del file[f"{schema.SPIKES.path}/excluded"]
    with wetloop.open(copied) as older:
        assert older.spikes[:10].numpy()["excluded"].tolist() == [0] * 10


def test_damage_is_told_by_the_name_of_the_column(copied):
    with h5py.File(copied) as file:
        chunk = file[f"{schema.SPIKES.path}/amplitude_uv"].id.get_chunk_info(0)
    data = bytearray(copied.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    copied.write_bytes(data)
    with wetloop.open(copied) as damaged:
        assert len(damaged.spikes["sample_index"][:]) == 4000
        with pytest.raises(RecordingError, match="amplitude_uv is damaged"):
            damaged.spikes["amplitude_uv"][5]


def test_a_closed_recording_says_so(recorded):
    with wetloop.open(str(recorded.path)) as opened:
        spikes = opened.spikes
    with pytest.raises(RecordingError, match="has been closed"):
        spikes.numpy()


def test_views_show_themselves_without_being_read(opened):
    assert "4000 rows, unread" in repr(opened.spikes)
    assert "amplitude_uv   float32  uV       Voltage at the peak, uV." in repr(opened.spikes)
    assert repr(opened.spikes["time_s"]).startswith("time_s: 4000 rows, float64, s, unread")
    assert "stimulus on culture, 0 to 4 s, complete" in repr(opened)
    assert "samples: 0 rows of 64 channels at 25000 Hz" in repr(opened)
    field = Field("a", np.dtype("f4"), "uV", "less than <zero>", lambda start, stop: np.zeros(stop - start))
    made = TableView("odd", [field], Timeline(3, 1.0, field, None))._repr_html_()
    assert "less than &lt;zero&gt;" in made
    assert made.count("<tr>") == 2


# Time


@given(
    st.lists(st.booleans(), max_size=60), st.lists(st.booleans(), max_size=60), st.integers(-2, 70), st.integers(-2, 70)
)
def test_runs_are_sets_of_rows(first, second, start, stop):
    runs, other = Runs.where(np.array(first, bool), 0), Runs.where(np.array(second, bool), 0)
    rows = [k for k, chosen in enumerate(first) if chosen]
    assert expanded(runs) == rows
    assert len(runs) == len(rows)
    assert expanded(runs & other) == [k for k in rows if k < len(second) and second[k]]
    assert expanded(runs.cut(start, stop)) == rows[max(0, start) : max(0, stop)]
    assert [row for batch in runs.batches(7) for row in expanded(batch)] == rows
    later = Runs.where(np.array(second, bool), len(first))
    assert expanded(runs + later) == rows + expanded(later)


def expanded(runs):
    return [row for start, stop in runs.spans for row in range(start, stop)]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20)), max_size=80),
    st.integers(-30, 330),
    st.integers(-30, 330),
)
def test_between_finds_rows_that_are_ordered_by_another_column(times, start, stop):
    rows = np.zeros(len(times), SPIKE)
    rows["known_sample"] = sorted(known for known, _ in times)
    rows["sample_index"] = rows["known_sample"] - [behind for _, behind in times]
    columns = [Field(name, rows.dtype[name], "", "", None) for name in ("sample_index", "known_sample")]
    moment, order = array_fields(rows, columns)
    expected = np.flatnonzero((rows["sample_index"] >= start) & (rows["sample_index"] < stop)).tolist()
    for timeline in (Timeline(len(rows), 10.0, moment, order, 21), Timeline(len(rows), 10.0, moment, None)):
        assert expanded(timeline.between(start / 10, stop / 10)) == expected


# Raw samples, pictures


@pytest.fixture(scope="module")
def gapped(tmp_path_factory):
    """A recording of 400 blocks of which samples were lost before every hundredth."""
    path = tmp_path_factory.mktemp("gapped") / "gapped.nwb"
    rows = session.make_rows(n_decisions=40)
    blocks = rows["blocks"]
    blocks["lost_samples"][100::100] = 1000
    blocks["start_sample"] += np.cumsum(blocks["lost_samples"])
    samples = np.random.default_rng(0).integers(-3000, 3000, (10_000, 64)).astype(np.int16)
    writer = session.Writer(path, session.make_header(), raw_samples=True)
    writer.append(samples=samples, **rows)
    writer.finish({})
    index = np.concatenate([start + np.arange(25) for start in blocks["start_sample"]])
    return SimpleNamespace(path=path, samples=samples, index=index)


@pytest.mark.parametrize(
    ("start_s", "stop_s"), [(0.0, 1.0), (0.05, 0.101), (0.09, 0.15), (0.11, 0.12), (0.3, 0.9), (-1.0, 0.01), (2.0, 1.0)]
)
def test_samples_are_taken_by_time_across_gaps(gapped, start_s, stop_s):
    inside = (gapped.index >= start_s * RATE_HZ) & (gapped.index < stop_s * RATE_HZ)
    with wetloop.open(gapped.path) as opened:
        view = opened.samples.between(start_s, stop_s)
        assert view.shape == (inside.sum(), 64)
        np.testing.assert_array_equal(view, gapped.samples[inside])
        np.testing.assert_array_equal(view.sample_index, gapped.index[inside])


def test_samples_have_rows_gains_and_times(gapped):
    with wetloop.open(gapped.path) as opened:
        view = opened.samples[2490:2510]
        np.testing.assert_array_equal(view[5:-5].numpy(), gapped.samples[2495:2505])
        np.testing.assert_array_equal(view.time_s, gapped.index[2490:2510] / RATE_HZ)
        np.testing.assert_allclose(view.microvolts()[:, :63], gapped.samples[2490:2510, :63] * 0.195, rtol=1e-6)
        frame = view.pandas()
        assert frame.index.name == "time_s"
        assert frame.attrs["units"][0] == "uV"
        refused = [
            (3, TypeError),
            (slice(0.1, 0.2), TypeError),
            (slice(0, 0.2), TypeError),
            (slice(0, 9, 2), ValueError),
        ]
        for key, error in refused:
            with pytest.raises(error, match="samples"):
                view[key]


def test_no_samples_and_no_pictures_are_empty_views(opened):
    assert opened.samples.between(0, 10).microvolts().shape == (0, 64)
    assert len(opened.frames) == 0
    assert opened.frames.numpy().dtype.names[0] == "time_s"


def test_pictures_are_a_column(tmp_path):
    import dataclasses

    header = dataclasses.replace(session.make_header(), frame_shape=(4, 6))
    frames = np.zeros(50, header.frame_dtype)
    frames["sample_index"] = 2500 * np.arange(1, 51)
    frames["frame"] = np.random.default_rng(0).integers(0, 255, (50, 4, 6))
    writer = session.Writer(tmp_path / "a.nwb", header)
    writer.append(**session.make_rows())
    writer.append_to(schema.FRAMES, frames)
    writer.finish({})
    with wetloop.open(tmp_path / "a.nwb") as opened:
        np.testing.assert_array_equal(opened.frames["frame"][7], frames["frame"][7])
        np.testing.assert_array_equal(opened.frames.between(1.0, 2.0)["frame"], frames["frame"][9:19])
        np.testing.assert_array_equal(opened.frames.numpy()["frame"], frames["frame"])
        assert opened.frames.pandas().columns.tolist() == ["time_s", "sample_index", "source_height", "source_width"]


# Large files


def bytes_read():
    """Bytes that this process has read from files."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.fixture(scope="module")
def large(gapped, tmp_path_factory):
    """2.5 GB of raw samples, of which nothing is allocated, and 3 million spikes."""
    path = Path(shutil.copy(gapped.path, tmp_path_factory.mktemp("large") / "large.nwb"))
    n_samples, n_spikes = 20_000_000, 3_000_000
    with h5py.File(path, "a") as file:
        blocks = file[schema.BLOCKS.path]
        blocks["start_sample"][-1] = n_samples - 25
        file[f"{schema.RAW}/data"].resize(n_samples, axis=0)
        known = np.cumsum(np.random.default_rng(0).integers(0, 13, n_spikes))
        for name, dataset in file[schema.SPIKES.path].items():
            if isinstance(dataset, h5py.Dataset):
                dataset.resize(n_spikes, axis=0)
                if name in {"sample_index", "known_sample"}:
                    dataset[:] = known - 40 * (name == "sample_index")
    return SimpleNamespace(path=path, peaks=known - 40)


def test_a_slice_of_a_large_file_reads_and_keeps_little(large):
    with wetloop.open(large.path, trusted=True) as opened:  # its samples were never written
        repr(opened)
        before = bytes_read()
        tracemalloc.start()
        spikes = opened.spikes.between(400.0, 401.0)
        found = spikes.numpy()
        samples = opened.samples.between(400.0, 400.5).numpy()
        last = opened.samples[-100:].numpy()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        read_bytes = bytes_read() - before
    inside = (large.peaks >= 10_000_000) & (large.peaks < 10_025_000)
    np.testing.assert_array_equal(found["sample_index"], large.peaks[inside])
    assert len(found) > 3000
    assert samples.shape == (12_500, 64)
    assert last.shape == (100, 64)
    assert peak_bytes < 4_000_000
    assert read_bytes < 2_000_000


def test_memory_stays_flat_where_rows_are_taken_in_batches(large):
    with wetloop.open(large.path, trusted=True) as opened:  # its samples were never written
        tracemalloc.start()
        total = sum(int(batch["sample_index"].numpy().max()) > 0 for batch in opened.spikes.batches())
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert total == -(-3_000_000 // (1 << 16))
    assert peak_bytes < 4_000_000
