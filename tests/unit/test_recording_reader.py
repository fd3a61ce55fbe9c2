"""A file that cannot be used is refused with a sentence that says why."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import recorded_session as session

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.describe import describe
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("intact") / "session.nwb"
    session.write(path)
    return path


@pytest.fixture
def damaged(intact, tmp_path):
    return Path(shutil.copy(intact, tmp_path / "damaged.nwb"))


def write_text(path):
    path.write_text("not a recording")


def write_other_hdf5(path):
    with h5py.File(path, "w") as file:
        file["data"] = 1


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_newer(path):
    with h5py.File(path, "a") as file:
        file.attrs[schema.VERSION_ATTRIBUTE] = schema.FORMAT_VERSION + 1


def shorten_a_column(path):
    with h5py.File(path, "a") as file:
        file["events/detected_spikes/amplitude_uv"].resize(1999, axis=0)


def shorten_the_actions(path):
    with h5py.File(path, "a") as file:
        file["processing/behavior/decoder/data"].resize(100, axis=0)


def remove_a_column(path):
    with h5py.File(path, "a") as file:
        del file["acquisition/loop_timing/serial"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "there is no such file"),
        (write_text, "no HDF5 file"),
        (write_other_hdf5, "not a Wetloop recording"),
        (cut, "truncated"),
        (make_newer, rf"format version {schema.FORMAT_VERSION + 1} is newer than {schema.FORMAT_VERSION}"),
        (shorten_a_column, r"detected_spikes are of unequal length \(id 2000, .*amplitude_uv 1999"),
        (shorten_the_actions, r"decisions are of unequal length .*decoder 100"),
        (remove_a_column, "damaged, acquisition/loop_timing/serial missing"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_reason(damaged, damage, message):
    damage(damaged)
    with pytest.raises(RecordingError, match=rf"damaged\.nwb: .*{message}"):
        Recording(damaged)


def test_a_folder_is_no_recording(tmp_path):
    with pytest.raises(RecordingError, match="this is a folder"):
        Recording(tmp_path)


def test_a_flipped_bit_is_found_and_its_column_named(damaged):
    with h5py.File(damaged) as file:
        chunk = file["events/detected_spikes/sample_index"].id.get_chunk_info(0)
    data = bytearray(damaged.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    damaged.write_bytes(data)
    with (
        Recording(damaged) as recording,
        pytest.raises(RecordingError, match="events/detected_spikes/sample_index is damaged"),
    ):
        recording.spikes()


def test_a_changed_text_is_found_and_named(damaged, tmp_path):
    with h5py.File(damaged, "a") as file:
        text = file["scratch/config"].asstr()[()]
        file["scratch/config"][()] = text.replace('"seed": 7', '"seed": 8')
    with Recording(damaged) as recording:
        assert recording.header["seed"] == 7
        with pytest.raises(RecordingError, match="/scratch/config is damaged: its text and its checksum disagree"):
            _ = recording.config
    with pytest.raises(RecordingError, match="damaged, cannot be read: scratch/config"):
        describe(damaged)
    report = recover(damaged, tmp_path / "new.nwb")
    assert "/scratch/config was changed; it is taken as it is" in report.notes


def test_a_changed_spike_differs_from_its_unit(damaged):
    with h5py.File(damaged, "a") as file:
        file["events/detected_spikes/sample_index"][7] += 1
    with Recording(damaged) as recording:
        spikes, units = recording.spikes(), recording.unit_spikes()
    changed = spikes[7]
    differing = [
        channel
        for channel, samples in enumerate(units)
        if not np.array_equal(samples, np.sort(spikes["sample_index"][spikes["channel_index"] == channel]))
    ]
    assert differing == [changed["channel_index"]]


def test_reading_changes_nothing(intact):
    before = intact.read_bytes()
    with Recording(intact) as recording:
        recording.decisions()
    assert intact.read_bytes() == before
