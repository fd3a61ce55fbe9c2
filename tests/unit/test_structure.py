"""A damaged or hostile file is refused in words; it neither crashes nor hangs anything, and leads nowhere."""

import shutil
from multiprocessing import active_children
from pathlib import Path

import h5py
import numpy as np
import pytest
import recorded_session as session

from wetloop.cli.main import main
from wetloop.core.errors import RecordingError
from wetloop.recording.examiner import Examiner
from wetloop.recording.reader import Recording
from wetloop.recording.texts import write_text

SECRET = b"the secret of another file"
UNKNOWN_FILTER = 31999
CUTS, FLIPS = 40, 80


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("intact") / "session.nwb"
    session.write(path)
    return path


@pytest.fixture(scope="module")
def examiner():
    with Examiner(limit_s=20) as examiner:
        yield examiner


@pytest.fixture
def copied(intact, tmp_path):
    return Path(shutil.copy(intact, tmp_path / "stranger.nwb"))


def link_to_another_file(file, other):
    file["scratch/more"] = h5py.ExternalLink(other, "/data")


def replace_a_column_by_a_link(file, other):
    del file["events/detected_spikes/electrode"]
    file["events/detected_spikes/electrode"] = h5py.ExternalLink(other, "/data")


def read_from_another_file(file, other):
    file.create_dataset("scratch/more", (len(SECRET),), "u1", external=[(str(other), 0, len(SECRET))])


def make_it_virtual(file, other):
    layout = h5py.VirtualLayout((3,), "i8")
    layout[:] = h5py.VirtualSource(str(other), "data", (3,))
    file.create_virtual_dataset("scratch/more", layout)


def declare_too_much(file, _other):
    file.create_dataset("scratch/more", (10**12,), "f8")


def declare_too_much_in_chunks(file, _other):
    file.create_dataset("scratch/more", (10**12,), "f8", chunks=(1000,), compression="gzip")


def grow_a_column(file, _other):
    file["events/detected_spikes/electrode"].resize((10**10,))


def ask_for_another_filter(file, _other):
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_chunk((1000,))
    created.set_filter(UNKNOWN_FILTER, h5py.h5z.FLAG_OPTIONAL)
    h5py.h5d.create(file.id, b"more", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((1000,)), created)


def make_huge_chunks(file, _other):
    file.create_dataset("scratch/more", (10**9,), "u1", chunks=(10**9,))


def nest_deeply(file, _other):
    file.create_group("scratch/" + "/".join("a" * 100))


def make_many_objects(file, _other):
    for k in range(10_001):
        file["scratch"].create_group(f"g{k}")


def link_softly(file, _other):
    file["scratch/more"] = h5py.SoftLink("/events/stimulation")


HOSTILE = [
    (link_to_another_file, "scratch/more: a link into another file"),
    (replace_a_column_by_a_link, "events/detected_spikes/electrode: a link into another file"),
    (read_from_another_file, "scratch/more: its data would be read from another file"),
    (make_it_virtual, "scratch/more: a virtual dataset"),
    (declare_too_much, r"scratch/more: 8e\+12 bytes declared, but only 0 stored"),
    (declare_too_much_in_chunks, r"scratch/more: 8e\+12 bytes declared, but only 0 stored"),
    (grow_a_column, r"events/detected_spikes/electrode: 4e\+10 bytes declared"),
    (ask_for_another_filter, "more: filter 31999"),
    (make_huge_chunks, r"scratch/more: chunks of 1e\+09 bytes"),
    (nest_deeply, "more than 32 groups within each other"),
    (make_many_objects, "more than 10000 objects"),
    (link_softly, "scratch/more: a link to /events/stimulation"),
]


@pytest.fixture
def hostile(copied, tmp_path):
    """Make the copy hostile, with another file that it may aim at."""

    def make(change):
        other = tmp_path / "other.h5"
        with h5py.File(other, "w") as file:
            file["data"] = np.arange(3)
            file.attrs["secret"] = SECRET
        with h5py.File(copied, "a") as file:
            change(file, other)
        return copied

    return make


@pytest.mark.parametrize(("change", "message"), HOSTILE, ids=[change.__name__ for change, _ in HOSTILE])
def test_a_hostile_file_is_refused_before_it_is_read(hostile, examiner, change, message):
    path = hostile(change)
    with pytest.raises(RecordingError, match=rf"stranger\.nwb: .*{message}.*--trust"):
        examiner.examine(path)
    with pytest.raises(RecordingError, match=message):
        Recording(path)


def test_trust_lets_a_link_be_followed(hostile, examiner):
    path = hostile(link_to_another_file)
    assert examiner.examine(path, trusted=True)["complete"]
    assert main(["inspect", str(path), "--trust", "--json"]) == 0
    with Recording(path, trusted=True) as recording:
        assert recording.trusted


def test_a_group_within_itself_is_walked_once(hostile, examiner):
    def tie(file, _other):
        file["scratch/more"] = file["scratch"]

    assert examiner.examine(hostile(tie))["complete"]


def test_bitshuffle_needs_no_plugin_folder(copied, examiner):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(copied, "a") as file:
        values = np.arange(10_000)
        file.create_dataset("scratch/more", data=values, chunks=(1000,), **hdf5plugin.Bitshuffle(cname="lz4"))
    assert examiner.examine(copied)["complete"]


def test_damage_is_found_in_data_that_the_overview_does_not_need(copied, examiner):
    with h5py.File(copied) as file:
        chunk = file["events/stimulation/voice"].id.get_chunk_info(0)
    data = bytearray(copied.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    copied.write_bytes(data)
    with pytest.raises(RecordingError, match=r"damaged, cannot be read: events/stimulation/voice\."):
        examiner.examine(copied)


def test_an_intact_recording_is_described(intact, examiner):
    found = examiner.examine(intact)
    assert found["spikes"]["count"] == 2000
    assert found["not_checked"] == []


def test_what_a_stranger_wrote_cannot_command_the_terminal(copied, examiner):
    with h5py.File(copied, "a") as file:
        header = file["scratch/header"][()].replace(b"Synthetic session.", b"\\u001b[2Jcleared")
        write_text(file, "header", header.decode())
    assert examiner.examine(copied)["description"] == "\\x1b[2Jcleared"


def outcomes(examiner, path, variants):
    """Return what is said of each variant of a file: its description, or why it is refused."""
    said = []
    for data in variants:
        path.write_bytes(data)
        try:
            said.append(examiner.examine(path))
        except RecordingError as error:
            said.append(str(error))
    return said


def test_a_file_cut_anywhere_is_refused(intact, examiner, tmp_path):
    whole = intact.read_bytes()
    cuts = [len(whole) * k // CUTS for k in range(CUTS)]
    said = outcomes(examiner, tmp_path / "cut.nwb", (whole[:stop] for stop in cuts))
    assert all(isinstance(words, str) and words.startswith(str(tmp_path / "cut.nwb")) for words in said)
    assert all("truncated" in words for words in said[1:])


def test_flipped_bits_are_survived(intact, examiner, tmp_path):
    """Half of the flips fall into the first kilobytes of objects, where they damage structure more than data."""
    whole, rng = intact.read_bytes(), np.random.default_rng(20)
    starts = _object_headers(intact)

    def flipped(k):
        data = bytearray(whole)
        for _ in range(1 + k % 3):
            where = rng.integers(len(data)) if k % 2 else rng.choice(starts) + rng.integers(512)
            data[min(where, len(data) - 1)] ^= 1 << int(rng.integers(8))
        return bytes(data)

    said = outcomes(examiner, tmp_path / "flipped.nwb", map(flipped, range(FLIPS)))
    refused = [words for words in said if isinstance(words, str)]
    assert len(refused) > FLIPS // 8
    assert all(words.startswith(str(tmp_path / "flipped.nwb")) and "\n" not in words for words in refused)


def _object_headers(path):
    starts = []
    with h5py.File(path) as file:
        file.visit(lambda name: starts.append(h5py.h5o.get_info(file[name].id).addr))
    return np.array(starts, np.int64)


def test_a_file_that_is_none_is_named(tmp_path, capsys):
    (tmp_path / "empty.nwb").touch()
    (tmp_path / "text.nwb").write_text("not a recording")
    for name, words in {
        "empty.nwb": "empty", "text.nwb": "no HDF5 file", "absent.nwb": "no such file", "": "a folder",
    }.items():  # fmt: skip
        assert main(["inspect", str(tmp_path / name)]) == 5
        assert words in capsys.readouterr().err


def test_what_takes_too_long_is_given_up(intact):
    with Examiner(limit_s=1e-6) as hasty, pytest.raises(RecordingError, match="came to no end within"):
        hasty.examine(intact)


def test_a_crash_is_told_and_the_next_file_is_described(intact):
    before = active_children()
    with Examiner() as examiner:
        examiner.examine(intact)
        for process in set(active_children()) - set(before):
            process.kill()
            process.join()
        with pytest.raises(RecordingError, match=r"HDF5 crashed on it \(SIGKILL\)"):
            examiner.examine(intact)
        assert examiner.examine(intact)["complete"]
