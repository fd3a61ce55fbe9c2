"""A replay proves itself: it agrees with what was recorded, and finds what was altered."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from wetloop.config import parse_config
from wetloop.recording import schema
from wetloop.recording.recover import recover
from wetloop.replay import compare, verify

SPIKES = "events/detected_spikes"
RAW = f"{schema.RAW}/data"


@pytest.mark.parametrize(
    ("settings", "rerun"),
    [
        (("source.signal=spikes",), False),
        (("source.signal=samples",), False),
        (("source.signal=samples", "recording.raw_samples=true"), True),
        (("source.signal=samples", "recording.raw_samples=true", "source.packet_samples=37"), True),
        (("condition=yoked",), False),
        (("condition=noise",), False),
        (("decision_ms=25", "plan_ms=12.5"), False),
        (("decision_ms=1", "plan_ms=4", "source.lead_ms=3"), False),
    ],
)
def test_replay_agrees(play, settings, rerun):
    summary = play("duration=10", "task.crossing_s=0.5", *settings)
    report = verify(summary.file)
    assert report.differences == []
    assert report.agrees
    assert report.detection_rerun == rerun
    assert report.decisions == summary.decisions
    assert report.spikes == summary.spikes > 100
    assert report.pulses == sum(sum(fates.values()) for fates in summary.pulses.values()) > 10


@pytest.fixture
def recorded(play, tmp_path):
    """One recording with raw samples and one without, to be altered."""
    paths = {}
    for raw in (True, False):
        extra = ("source.signal=samples", "recording.raw_samples=true") if raw else ()
        paths[raw] = play("duration=5", "task.crossing_s=0.5", *extra, seed=4).file

    def copy(*, raw):
        altered = tmp_path / f"altered-{raw}.nwb"
        shutil.copy(paths[raw], altered)
        return altered

    return copy


@pytest.mark.parametrize("raw", [True, False])
def test_a_flipped_spike_is_found_and_named(recorded, raw):
    path = recorded(raw=raw)
    with h5py.File(path, "r+") as file:
        channels = file[f"{SPIKES}/electrode"]
        k = len(channels) // 2
        sample, before = int(file[f"{SPIKES}/sample_index"][k]), int(channels[k])
        channels[k] = (before + 1) % 64
    report = verify(path)
    assert not report.agrees
    said = "\n".join(report.differences)
    assert f"spike on channel {before} at {sample / 25000:.5f} s (sample {sample}) stands in units only" in said
    assert f"spike on channel {(before + 1) % 64}" in said


@pytest.mark.parametrize(
    ("table", "column", "change", "said"),
    [
        ("events/stimulation", "sample_index", 1, "pulse"),
        ("events/stimulation", "fate", 1, "pulse"),
        (SPIKES, "sample_index", 3, "spike"),
        (SPIKES, "amplitude_uv", 1, "decision"),
    ],
)
def test_any_altered_column_is_found(recorded, table, column, change, said):
    path = recorded(raw=False)
    with h5py.File(path, "r+") as file:
        values = file[f"{table}/{column}"]
        values[len(values) // 2] += change
    report = verify(path)
    assert not report.agrees
    assert any(sentence.startswith(said) for sentence in report.differences), report.differences


def test_an_altered_decision_is_found_by_number_and_time(recorded):
    path = recorded(raw=False)
    with h5py.File(path, "r+") as file:
        actions = file["processing/behavior/decoder/data"]
        actions[200] = 0.123
    report = verify(path)
    assert any(s.startswith("decision 200 at 2.0100 s: action recorded [0.123]") for s in report.differences)


def test_altered_samples_are_found_by_detection(recorded):
    path = recorded(raw=True)
    with h5py.File(path, "r+") as file:
        samples = file["acquisition/ElectricalSeries/data"]
        samples[60000:60010, 5] = -2000
    report = verify(path)
    assert not report.agrees
    assert any("spike" in s for s in report.differences)


def damage_raw_samples(path, chunk):
    """Make one chunk of raw samples unreadable."""
    with h5py.File(path, "r+") as file:
        place = file[RAW].id.get_chunk_info_by_coord((2500 * chunk, 0))
    with path.open("r+b") as file:
        file.seek(place.byte_offset + 100)
        file.write(b"\xff" * 8)


def end_raw_samples_early(path, at=45_123):
    with h5py.File(path, "r+") as file:
        file[RAW].resize(at, axis=0)


def cut_off(path):
    end_raw_samples_early(path)
    with h5py.File(path, "r+") as file:
        file.attrs[schema.COMPLETE_ATTRIBUTE] = 0


@pytest.mark.parametrize(
    ("change", "detected_to_s"),
    [
        (end_raw_samples_early, 1.8),
        (cut_off, 1.8),
        (lambda path: damage_raw_samples(path, 20), 2.0),
    ],
)
def test_where_raw_samples_are_missing_the_recorded_spikes_are_taken(recorded, change, detected_to_s):
    path = recorded(raw=True)
    change(path)
    report = recover(path)
    if not report.whole:
        assert "raw samples" in {loss["what"] for loss in report.lost}
        path = Path(report.recovered)
    found = verify(path)
    assert found.differences == []
    assert found.detected_to_s == pytest.approx(detected_to_s, abs=0.01)
    assert found.to_s >= 4.9
    assert found.spikes > 100


def test_a_replay_with_the_same_decoder_never_differs(recorded):
    path = recorded(raw=False)
    report = compare(path, parse_config("", "same.yaml", []))
    assert report.different == 0
    assert report.decisions == 500
    assert report.compared > 100


def test_a_replay_with_another_decoder_says_how_often_it_would_differ(recorded):
    path = recorded(raw=False)
    flipped = compare(path, parse_config("", "flipped.yaml", ["layout.flip=true"]))
    slower = compare(path, parse_config("", "slower.yaml", ["decoder.smoothing_ms=500"]))
    assert flipped.opposite > 0.9 * flipped.compared
    assert 0 < slower.opposite < slower.different <= slower.compared
    assert np.isclose(slower.share, slower.different / slower.compared)
    assert slower.first
