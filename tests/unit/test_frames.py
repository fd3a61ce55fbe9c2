"""Pictures of the game: what is kept of them, when they are taken, and that the file gives them back."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import recorded_session as session
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wetloop.core.errors import RecordingError
from wetloop.core.types import Tick
from wetloop.kernels.rings import HEAD, RECORDER, new_ring
from wetloop.recording import schema
from wetloop.recording.describe import describe
from wetloop.recording.frames import Camera, grey, pooled
from wetloop.recording.journal import Safekeeping
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover
from wetloop.recording.schema import frame_dtype

SIZE = (6, 9)


def tick(stop_sample):
    return Tick(0, stop_sample - 250, stop_sample, stop_sample + 250)


def pictures(n):
    rows = np.zeros(n, frame_dtype(SIZE))
    rows["sample_index"] = 250 + 2500 * np.arange(n) + np.arange(n) % 3
    rows["source_height"], rows["source_width"] = 90, 120
    rows["frame"] = np.random.default_rng(0).integers(0, 256, (n, *SIZE))
    return rows


@pytest.fixture
def recorded(tmp_path):
    path, rows = tmp_path / "frames.nwb", pictures(50)
    header = dataclasses.replace(session.make_header(), frame_shape=SIZE)
    writer = session.Writer(path, header)
    writer.append(**session.make_rows())
    for part in np.array_split(rows, 3):
        writer.append_to(schema.FRAMES, part)
        writer.flush()
    writer.finish({})
    return SimpleNamespace(path=path, rows=rows)


def camera(picture, rate_hz, slots=100):
    ring = new_ring(frame_dtype(SIZE), slots, RECORDER)
    return Camera(lambda: picture, ring, 25_000.0, rate_hz), ring


@given(factors=st.tuples(st.integers(1, 4), st.integers(1, 4)), data=st.data())
def test_pooling_by_whole_factors_is_the_mean_of_each_field(factors, data):
    high, wide = factors
    picture = data.draw(arrays.arrays(np.uint8, (6 * high, 9 * wide)))
    means = picture.reshape(6, high, 9, wide).mean(axis=(1, 3))
    assert np.abs(pooled(picture, SIZE) - means).max() <= 0.5 + 1e-9


@given(height=st.integers(1, 40), width=st.integers(1, 40), data=st.data())
def test_pooling_to_any_size_keeps_the_mean_and_the_range(height, width, data):
    picture = data.draw(arrays.arrays(np.uint8, (height, width)))
    small = pooled(picture, SIZE)
    assert small.shape == SIZE
    assert picture.min() <= small.min()
    assert small.max() <= picture.max()
    assert abs(small.mean() - picture.mean()) <= 0.5 + 1e-9


def test_grey_weighs_colours_as_the_eye_does_and_leaves_grey_alone():
    colours = np.array([[(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)]], np.uint8)
    assert grey(colours).tolist() == [[255, 76, 149, 28]]
    flat = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(grey(flat), flat)
    np.testing.assert_array_equal(grey(np.repeat(flat[..., None], 3, axis=2)), flat)


@pytest.mark.parametrize(("rate_hz", "expected"), [(100, 400), (10, 41), (7, 28), (1000, 400)])
def test_no_more_pictures_are_taken_than_asked_for(rate_hz, expected):
    shooting, ring = camera(np.zeros((12, 18), np.uint8), rate_hz, slots=500)
    for index in range(1, 401):
        shooting.take(tick(250 * index))
    taken = ring.slots["sample_index"][: ring.words[HEAD]]
    assert len(taken) == expected
    assert set(taken % 250) == {0}


def test_a_full_ring_counts_what_it_drops_and_a_game_without_picture_gives_none():
    shooting, _ = camera(np.zeros((12, 18, 3), np.uint8), 100, slots=4)
    for index in range(1, 11):
        shooting.take(tick(250 * index))
    assert shooting.dropped == 6
    blind, ring = camera(None, 100)
    blind.take(tick(250))
    assert (ring.words[HEAD], blind.dropped) == (0, 0)


def test_pictures_come_back_with_their_exact_samples(recorded):
    with Recording(recorded.path) as recording:
        np.testing.assert_array_equal(recording.frames(), recorded.rows["frame"])
        np.testing.assert_array_equal(recording.frame_samples, recorded.rows["sample_index"])
        np.testing.assert_array_equal(recording.frame_times, recorded.rows["sample_index"] / 25_000)
    assert describe(recorded.path)["frames"] == 50


@pytest.mark.parametrize("journal", ["none", "all"])
def test_pictures_of_a_recording_that_was_cut_short_are_recovered(tmp_path, journal):
    path, rows = tmp_path / "cut.nwb", pictures(30)
    header = dataclasses.replace(session.make_header(), frame_shape=SIZE)
    writer = session.Writer(path, header, safekeeping=Safekeeping(journal))
    writer.append(**session.make_rows())
    writer.append_to(schema.FRAMES, rows)
    writer.abort()
    with Recording(Path(recover(path).recovered)) as recording:
        np.testing.assert_array_equal(recording.frames(), rows["frame"])
        np.testing.assert_array_equal(recording.frame_samples, rows["sample_index"])


def test_pictures_are_chunked_compressed_and_checked(recorded):
    with h5py.File(recorded.path) as file:
        data = file["acquisition/game_frames/data"]
        assert data.chunks[1:] == SIZE
        assert (data.compression, data.shuffle, data.fletcher32) == ("gzip", True, True)


def test_pynwb_shows_an_image_series_and_nwbinspector_has_nothing_but_advice(recorded):
    from nwbinspector import Importance, inspect_nwbfile
    from pynwb import NWBHDF5IO, validate

    with NWBHDF5IO(recorded.path, "r") as io:
        assert validate(io=io) == []
        series = io.read().acquisition["game_frames"]
        assert series.neurodata_type == "ImageSeries"
        np.testing.assert_array_equal(series.data[7], recorded.rows["frame"][7])
        np.testing.assert_array_equal(series.timestamps, recorded.rows["sample_index"] / 25_000)
    found = inspect_nwbfile(nwbfile_path=recorded.path)
    worse = [m for m in found if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value]
    assert [(m.check_function_name, m.message) for m in worse] == []


def test_a_recording_without_pictures_has_none(tmp_path):
    session.write(tmp_path / "plain.nwb")
    with Recording(tmp_path / "plain.nwb") as recording:
        assert recording.frames() is None
        assert (len(recording.frame_samples), len(recording.frame_times)) == (0, 0)


def test_a_file_with_more_pictures_than_times_is_refused(recorded):
    with h5py.File(recorded.path, "r+") as file:
        file["acquisition/game_frames/timestamps"].resize(49, axis=0)
    with pytest.raises(RecordingError, match="game_frames/timestamps 49"):
        Recording(recorded.path)
