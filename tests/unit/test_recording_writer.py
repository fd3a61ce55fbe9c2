"""A recording gives back exactly what was put in, also when its writer comes to a bad end."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import recorded_session as session
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.errors import RecordingError
from wetloop.core.guard import StimGuard
from wetloop.recording import schema
from wetloop.recording.derive import Coverage
from wetloop.recording.describe import describe
from wetloop.recording.reader import Recording
from wetloop.recording.writer import Writer

SCRIPT = Path(__file__).parents[1] / "recorded_session.py"
KINDS = ("spikes", "pulses", "blocks", "decisions", "operator_commands")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "session.nwb"
    return SimpleNamespace(path=path, rows=session.write(path, n_batches=3))


@pytest.fixture
def recording(recorded):
    with Recording(recorded.path) as recording:
        yield recording


def child(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_comes_back_bit_for_bit(recorded, recording, kind):
    assert getattr(recording, kind)().tobytes() == recorded.rows[kind].tobytes()


@pytest.mark.parametrize("compression", ["none", "gzip", "bitshuffle-lz4"])
def test_how_rows_are_batched_does_not_matter(tmp_path, compression):
    rows = session.make_rows()
    writer = Writer(tmp_path / "a.nwb", session.make_header(), raw_samples=True, compression=compression)
    for kind in KINDS:
        for part in np.array_split(rows[kind], 7):
            writer.append(**{kind: part})
            part[:] = np.zeros(1, part.dtype)
    writer.finish({})
    with Recording(tmp_path / "a.nwb") as recording:
        expected = session.make_rows()
        assert all(getattr(recording, kind)().tobytes() == expected[kind].tobytes() for kind in KINDS)


def test_the_header_comes_back(recording):
    header = session.make_header()
    assert recording.complete
    assert recording.config == {"task": {"kind": "pong"}, "seed": 7}
    assert recording.summary == {"score": 3, "worst": 1.5}
    assert recording.limits == header.limits
    assert recording.layout.sensory == header.layout.sensory
    np.testing.assert_array_equal(recording.layout.regions, header.layout.regions)
    for name in ("identifier", "seed", "versions", "condition", "decision_samples", "subject"):
        assert recording.header[name] == getattr(header, name)
    assert recording.header["session_start"] == "2025-03-01T12:30:00+00:00"


def test_the_rig_comes_back_with_its_probe_and_its_dead_channel(recording):
    info, expected = recording.info, session.make_header().info
    np.testing.assert_array_equal(info.gain_uv, expected.gain_uv)
    assert info.probe.to_dict(array_as_list=True) == expected.probe.to_dict(array_as_list=True)
    plain = (
        "name",
        "sampling_frequency",
        "signal",
        "limits",
        "unit",
        "packet_samples",
        "lead_samples",
        "reacts",
    )
    assert all(getattr(info, name) == getattr(expected, name) for name in plain)


def test_a_guard_makes_the_same_pattern_table_again(recording):
    table, expected = StimGuard(recording.info).prepare(recording.patterns), session.make_header().table
    assert (table.names, table.patterns) == (expected.names, expected.patterns)
    np.testing.assert_array_equal(table.charge_nc, expected.charge_nc)


def test_every_pulse_carries_its_parameters_and_electrodes(recorded, recording):
    table = session.make_header().table
    told = zip(recorded.rows["pulses"], recording.pulse_parameters(), recording.pulse_electrodes(), strict=True)
    for pulse, parameters, electrodes in told:
        pattern = table.patterns[pulse["pattern"]]
        assert tuple(electrodes) == pattern.channels
        assert parameters["first_amplitude"] == np.float32(pattern.pulse.first_amplitude)
        assert parameters["interphase_us"] == pattern.pulse.interphase_us
        assert parameters["charge_nc"] == np.float32(table.charge_nc[pulse["pattern"]])


def test_units_tell_the_spikes_of_each_electrode(recorded, recording):
    spikes, units = recorded.rows["spikes"], recording.unit_spikes()
    assert len(units) == 64
    for channel, samples in enumerate(units):
        expected = np.sort(spikes["sample_index"][spikes["channel_index"] == channel])
        np.testing.assert_array_equal(samples, expected)


def test_units_are_the_same_where_spikes_do_not_fit_in_memory_together(tmp_path, monkeypatch, recording):
    expected = recording.unit_spikes()
    monkeypatch.setattr("wetloop.recording.derive.SPIKES_AT_ONCE", 500)
    monkeypatch.setattr("wetloop.recording.derive.ROWS_AT_ONCE", 300)
    session.write(tmp_path / "a.nwb", n_batches=3)
    with Recording(tmp_path / "a.nwb") as piecewise:
        assert [run.tolist() for run in piecewise.unit_spikes()] == [run.tolist() for run in expected]


def test_trials_and_epochs_tell_the_episodes_and_the_condition(recorded, recording):
    found = recording.episodes()
    assert len(found) > 5
    with h5py.File(recorded.path) as file:
        trials, epochs = file["intervals/trials"], file["intervals/epochs"]
        for name in ("start_sample", "stop_sample", "hits"):
            np.testing.assert_array_equal(trials[name], found[name])
        np.testing.assert_array_equal(trials["stop_time"], found["stop_sample"] / 25_000)
        assert trials["ended_by"].asstr()[:].tolist() == found["ended_by"].tolist()
        assert epochs["condition"].asstr()[:].tolist() == ["stimulus"]
        assert (epochs["start_time"][0], epochs["stop_time"][0]) == (0.0, 6.0)


def test_times_follow_from_samples(recorded):
    with h5py.File(recorded.path) as file:
        spikes, start = file["events/detected_spikes"], file["processing/behavior/game_state/starting_time"]
        np.testing.assert_array_equal(spikes["timestamp"], spikes["sample_index"][:] / 25_000)
        assert (start[()], start.attrs["rate"]) == (0.01, 100.0)


def test_everything_that_grows_is_checked_and_needs_no_plug_in(recorded):
    builtin = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    with h5py.File(recorded.path) as file:
        for table in (*schema.RECORDS, schema.DECISIONS):
            for column in table.columns:
                properties = file[f"{table.path}/{column.name}"].id.get_create_plist()
                filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
                assert h5py.h5z.FILTER_FLETCHER32 in filters <= builtin


def test_a_gap_is_no_observation(tmp_path):
    rows = session.make_rows(n_decisions=10)
    blocks = rows["blocks"][rows["blocks"]["start_sample"] != 1000]
    writer = Writer(tmp_path / "gap.nwb", session.make_header())
    writer.append(blocks=blocks)
    writer.finish({})
    with h5py.File(tmp_path / "gap.nwb") as file:
        ends, spans = file["units/obs_intervals_index"][:], file["units/obs_intervals"][:]
    np.testing.assert_array_equal(ends, 2 * np.arange(1, 65))
    np.testing.assert_array_equal(spans[:2] * 25_000, [[0, 1000], [1025, 2500]])


@given(lost=st.sets(st.integers(0, 29)), cuts=st.lists(st.integers(0, 30)))
def test_coverage_does_not_depend_on_batches(lost, cuts):
    starts = np.array([10 * i for i in range(30) if i not in lost], np.int64)
    whole, pieces = Coverage(), Coverage()
    whole.add(starts, starts + 10)
    for part in np.split(starts, sorted(cuts)):
        pieces.add(part, part + 10)
    np.testing.assert_array_equal(whole.spans, pieces.spans)
    covered = {sample for start, stop in whole.spans for sample in range(start, stop, 10)}
    assert covered == set(starts.tolist())


def test_raw_samples_come_back_in_volts(tmp_path):
    samples = np.random.default_rng(0).integers(-3000, 3000, (5000, 64)).astype(np.int16)
    writer = Writer(tmp_path / "raw.nwb", session.make_header(), raw_samples=True)
    writer.append(samples=samples[:1200])
    writer.append(samples=samples[1200:])
    writer.finish({})
    with Recording(tmp_path / "raw.nwb") as recording:
        np.testing.assert_array_equal(recording.samples[:], samples)
    with h5py.File(tmp_path / "raw.nwb") as file:
        series = file["acquisition/ElectricalSeries"]
        volts = series["data"][5, 0] * series["data"].attrs["conversion"] * series["channel_conversion"][0]
    assert volts == pytest.approx(0.195e-6 * samples[5, 0])


def test_samples_are_not_kept_unless_asked_for(tmp_path):
    writer = Writer(tmp_path / "a.nwb", session.make_header())
    writer.append(samples=np.zeros((10, 64), np.int16))
    writer.finish({})
    with Recording(tmp_path / "a.nwb") as recording:
        assert recording.samples is None


def test_an_empty_session_is_a_recording(tmp_path):
    Writer(tmp_path / "empty.nwb", session.make_header()).finish({})
    told = describe(tmp_path / "empty.nwb")
    assert told["complete"]
    assert (told["spikes"]["count"], told["episodes"]["count"], told["duration_s"]) == (0, 0, 0.0)


def test_describe_tells_what_is_in_the_file(recorded):
    told, fate = describe(recorded.path), recorded.rows["pulses"]["fate"]
    assert told["spikes"] == {"count": 6000, "rate_hz": 1000.0}
    assert told["pulses"]["by_fate"]["delivered"] == (fate == 0).sum()
    assert sum(told["pulses"]["by_kind"].values()) == told["pulses"]["count"] == 600
    assert told["decisions"]["count"] == 600
    assert told["duration_s"] == 6.0
    assert told["rig"]["channels"] == 64


def test_a_file_that_exists_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "precious.nwb"
    path.write_bytes(b"precious")
    with pytest.raises(RecordingError, match=r"precious\.nwb: a file of this name exists"):
        Writer(path, session.make_header())
    assert path.read_bytes() == b"precious"


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(RecordingError, match="cannot be created: No such file or directory"):
        Writer(tmp_path / "nowhere" / "a.nwb", session.make_header())


def test_rows_of_another_type_and_unknown_patterns_are_refused(tmp_path):
    rows = session.make_rows(n_decisions=10)
    writer = Writer(tmp_path / "a.nwb", session.make_header())
    with pytest.raises(RecordingError, match="events/detected_spikes"):
        writer.append(spikes=rows["blocks"])
    rows["pulses"]["pattern"][3] = 9
    with pytest.raises(RecordingError, match="outside the table of 9 patterns"):
        writer.append(pulses=rows["pulses"])
    writer.finish({})


def test_nothing_can_be_added_to_a_finished_recording(tmp_path):
    writer = Writer(tmp_path / "a.nwb", session.make_header())
    writer.finish({})
    for late in (writer.append, writer.flush, lambda: writer.finish({})):
        with pytest.raises(RecordingError, match="has been closed"):
            late()


def test_an_aborted_recording_keeps_its_rows_and_is_not_complete(tmp_path):
    rows = session.make_rows()
    writer = Writer(tmp_path / "a.nwb", session.make_header())
    writer.append(**rows)
    writer.abort()
    writer.abort()
    with Recording(tmp_path / "a.nwb") as recording:
        assert not recording.complete
        np.testing.assert_array_equal(recording.spikes(), rows["spikes"])


def test_a_process_may_end_without_closing(tmp_path):
    done = child("forget_to_close", tmp_path / "a.nwb")
    assert (done.returncode, done.stderr) == (0, "")
    with Recording(tmp_path / "a.nwb") as recording:
        assert recording.n_rows(schema.SPIKES) == 2000


def test_others_read_what_was_flushed_and_a_killed_writer_loses_no_more(tmp_path):
    path = tmp_path / "killed.nwb"
    with subprocess.Popen([sys.executable, SCRIPT, "wait_to_be_killed", path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"ready\n"
        with Recording(path) as running:
            spikes = running.spikes()
        with pytest.raises(BlockingIOError):
            h5py.File(path, "a")
        writer.kill()
    expected = [session.make_rows(seed, 50_000 * seed) for seed in range(2)]
    with Recording(path) as recording:
        assert not recording.complete
        assert recording.spikes().tobytes() == spikes.tobytes()
        for kind in KINDS:
            rows = np.concatenate([batch[kind] for batch in expected])
            assert getattr(recording, kind)().tobytes() == rows.tobytes()


def test_a_full_disk_ends_the_recording_but_neither_the_file_nor_the_process(tmp_path):
    path = tmp_path / "full.nwb"
    done = child("fill_the_disk", path)
    *flushed, error, first, second, third = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert error.startswith(f"5 {path}: writing failed")
    assert "File too large" in error
    assert [first, second, third] == ["refused"] * 3
    with Recording(path) as recording:
        assert recording.n_rows(schema.SPIKES) == 2000 * int(flushed[-1])
        assert all(len(getattr(recording, kind)()) for kind in KINDS)
