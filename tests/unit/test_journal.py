"""A journal gives back what was put in, tells what is damaged, and is gone when the recording is whole."""

from types import SimpleNamespace

import numpy as np
import pytest
import recorded_session as session

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.journal import ROWS, SAMPLES, Safekeeping, frame, journal_path, rows_in, samples_in
from wetloop.recording.reader import Recording
from wetloop.recording.survey import Frame, scan, survey
from wetloop.recording.writer import Writer

BATCH = 50_000


def begin(path, **options):
    return Writer(path, session.make_header(), safekeeping=Safekeeping("tables"), **options)


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory):
    """Three batches, acknowledged one by one, as a killed recorder leaves them."""
    path = tmp_path_factory.mktemp("cut") / "session.nwb"
    writer = begin(path)
    for seed in range(3):
        writer.append(**session.make_rows(seed, BATCH * seed))
        writer.flush()
    left = journal_path(path).read_bytes()
    writer.finish({"score": 3})
    return SimpleNamespace(journal=left, path=path)


def test_every_row_of_every_table_is_in_the_journal(cut_off, tmp_path):
    (tmp_path / "a.journal").write_bytes(cut_off.journal)
    found = survey(tmp_path / "a.journal")
    batches = [session.make_rows(seed, BATCH * seed) for seed in range(3)]
    tables = dict(zip(("spikes", "pulses", "blocks", "operator_commands", "decisions"), range(5), strict=True))
    for name, number in tables.items():
        dtype = found.opening.tables[number][1]
        rows = [rows_in(f.payload, dtype) for f in found.frames() if f.kind == ROWS and f.table == number]
        assert np.concatenate(rows).tobytes() == np.concatenate([batch[name] for batch in batches]).tobytes()
    assert (found.gaps, found.usable, found.acknowledged_sample) == ([], len(cut_off.journal), 3 * BATCH)


def test_a_whole_recording_leaves_no_journal_unless_asked(cut_off, tmp_path):
    assert [p.name for p in cut_off.path.parent.iterdir()] == ["session.nwb"]
    keeping = Safekeeping("tables", keep_journal=True)
    Writer(tmp_path / "kept.nwb", session.make_header(), safekeeping=keeping).finish({"score": 3})
    assert survey(tmp_path / "kept.nwb.journal").summary == '{"score": 3}'


def test_an_aborted_recording_keeps_its_journal(tmp_path):
    writer = begin(tmp_path / "a.nwb")
    writer.append(**session.make_rows())
    writer.abort()
    assert survey(tmp_path / "a.nwb.journal").n_rows[schema.SPIKES.path] == 2000


def test_raw_samples_are_journalled_only_on_request(tmp_path):
    samples = np.random.default_rng(0).integers(-999, 999, (500, 64)).astype(np.int16)
    for mode in ("tables", "all"):
        writer = Writer(
            tmp_path / f"{mode}.nwb", session.make_header(), raw_samples=True, safekeeping=Safekeeping(mode)
        )
        writer.append(samples=samples)
        writer.abort()
    assert survey(tmp_path / "tables.nwb.journal").sample_bytes == 0
    frames = [f for f in survey(tmp_path / "all.nwb.journal").frames() if f.kind == SAMPLES]
    np.testing.assert_array_equal(np.concatenate([samples_in(f.payload, 64) for f in frames]), samples)


def test_a_running_recording_is_not_recovered_behind_its_back(tmp_path):
    writer = begin(tmp_path / "a.nwb")
    with pytest.raises(RecordingError, match="is being written: the session still runs"):
        survey(tmp_path / "a.nwb.journal")
    writer.finish({})


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_costs_one_frame_and_is_told(cut_off, tmp_path, seed):
    rng = np.random.default_rng(seed)
    data, at = bytearray(cut_off.journal), int(rng.integers(len(cut_off.journal)))
    data[at] ^= 1 << int(rng.integers(8))
    path = tmp_path / "flipped.journal"
    path.write_bytes(data)
    (tmp_path / "good.journal").write_bytes(cut_off.journal)
    good = [f for f in scan(tmp_path / "good.journal") if isinstance(f, Frame)]
    hit = next(f for f in good if f.start <= at < f.stop)
    found = survey(path)
    assert [f for f in scan(path) if isinstance(f, Frame)] == [f for f in good if f is not hit]
    if hit is good[-1]:
        assert (found.gaps, found.usable) == ([], hit.start)
    else:
        (gap,) = found.gaps
        assert (gap.start, gap.stop) == (hit.start, hit.stop)
        assert gap.from_sample <= gap.to_sample if gap.to_sample is not None else gap.from_sample > 0


def test_after_the_last_sync_the_first_hole_ends_the_journal(cut_off, tmp_path):
    path = tmp_path / "hole.journal"
    late = frame(ROWS, 0, 99, session.make_rows(7)["spikes"].tobytes())
    path.write_bytes(cut_off.journal + late + bytes(100) + late)
    found = survey(path)
    assert found.usable == len(cut_off.journal) + len(late)
    assert found.gaps == []
    assert found.n_rows[schema.SPIKES.path] == 4 * 2000


@pytest.mark.parametrize("percent", range(1, 100, 7))
def test_a_truncated_journal_ends_at_its_last_whole_frame(cut_off, tmp_path, percent):
    (tmp_path / "good.journal").write_bytes(cut_off.journal)
    size = len(cut_off.journal) * percent // 100
    path = tmp_path / "short.journal"
    path.write_bytes(cut_off.journal[:size])
    whole = [f for f in scan(tmp_path / "good.journal") if f.stop <= size]
    assert list(survey(path).frames()) == whole


def test_what_is_no_journal_has_no_opening(tmp_path):
    for text in (b"", b"not a journal"):
        (tmp_path / "x.journal").write_bytes(text)
        assert survey(tmp_path / "x.journal").opening is None


def test_a_journal_that_stands_in_the_way_is_refused(tmp_path):
    (tmp_path / "a.nwb.journal").write_bytes(b"precious")
    with pytest.raises(RecordingError, match="a file of this name exists"):
        begin(tmp_path / "a.nwb")
    assert (tmp_path / "a.nwb.journal").read_bytes() == b"precious"


def test_a_recovered_session_can_be_read_while_its_journal_lies_beside(tmp_path):
    writer = begin(tmp_path / "a.nwb")
    writer.append(**session.make_rows())
    writer.abort()
    with Recording(tmp_path / "a.nwb") as recording:
        assert recording.n_rows(schema.SPIKES) == 2000
        assert recording.recovered == {}
