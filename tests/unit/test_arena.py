"""Arrays in a shared file: what is listed is what every process finds, and nothing stays behind."""

import fcntl
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import ring_process as post
from numba import typeof

from wetloop.core.errors import RigError
from wetloop.engine.arena import FOLDER, Arena, Segment, ring_spec, segments, sweep
from wetloop.engine.halt import silence_at_once
from wetloop.engine.words import CONTROL_WORDS, SILENCE
from wetloop.kernels.records import SPIKE
from wetloop.kernels.rings import (
    DROPPED,
    RECORDER,
    SESSION,
    WORDS,
    commit,
    load_head,
    new_ring,
    observe,
    prepare,
    reserve,
)
from wetloop.kernels.state import ELECTRODE

NESTED = np.dtype([("spike", SPIKE), ("rows", "<f4", (2, 3))])
PADDED = np.dtype([("a", "i1"), ("b", "<f8")], align=True)
SPEC = {
    "control": (np.int64, (7,)),
    "electrodes": (ELECTRODE, (3,)),
    "nested": (NESTED, (2, 2)),
    "padded": (PADDED, (5,)),
    "samples": ("<i2", (16, 25, 60)),
    "none": (np.float32, (4, 0)),
    "one": (np.float32, ()),
}
NO_FAREWELL = """
import sys
from pathlib import Path
import numpy as np
from wetloop.engine.arena import Arena, ring_spec
from wetloop.kernels.rings import load_head, prepare
arena = Arena.create("forgotten", ring_spec("r", np.int64, 4), Path(sys.argv[1]))
again = Arena.attach("forgotten", Path(sys.argv[1]))
ring = prepare(again.ring("r"), 0)
if sys.argv[2] == "close":
    arena.close()
sys.exit(load_head(ring.words))
"""


@pytest.fixture
def folder():
    with post.own_folder() as path:
        yield path


def test_every_process_finds_the_arrays_that_were_listed(folder):
    rng = np.random.default_rng(1)
    with Arena.create("a", SPEC, folder) as made:
        for array in made.arrays.values():
            assert not array.view(np.uint8).any() if array.ndim else array == 0
            array[...] = np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape)
        found = Arena.attach("a", folder)
        assert list(found.arrays) == list(SPEC)
        for key, (dtype, shape) in SPEC.items():
            assert found.arrays[key].dtype == dtype
            assert found.arrays[key].shape == shape
            assert found.arrays[key].tobytes() == made.arrays[key].tobytes()
            assert found.arrays[key].ctypes.data % 64 == 0
        found.arrays["electrodes"]["charge"][2, 1, 5] = -1.5
        assert made.arrays["electrodes"]["charge"][2, 1, 5] == -1.5


def test_kernels_take_shared_rings_for_ordinary_ones(folder):
    with Arena.create("a", ring_spec("spikes", SPIKE, 8), folder):
        ring = prepare(Arena.attach("a", folder).ring("spikes"), SESSION, RECORDER)
        ordinary = new_ring(SPIKE, 8, SESSION, RECORDER)
        assert typeof(ring) == typeof(ordinary)
        assert ring.words.tolist() == ordinary.words.tolist()
        assert ring.words.shape == (WORDS,)


def test_a_session_of_another_version_is_told_as_that(folder):
    with Arena.create("a", ring_spec("spikes", SPIKE, 8), folder), pytest.raises(RigError, match="another version"):
        Arena.attach("a", folder).ring("pulses")


def fill(ring, serials):
    for serial in serials:
        at = reserve(ring)
        if at >= 0:
            ring.slots[at] = serial
            commit(ring)


def test_preparing_again_empties_a_ring():
    ring = new_ring(SPIKE, 4, SESSION)
    fill(ring, range(6))
    assert (load_head(ring.words), ring.words[DROPPED]) == (4, 2)
    prepare(ring, RECORDER)
    assert ring.words.tolist() == new_ring(SPIKE, 4, RECORDER).words.tolist()


def test_an_observer_leaves_out_what_is_being_overwritten():
    ring, out = new_ring(SPIKE, 4), np.zeros(3, SPIKE)
    assert observe(ring, 0, out) == (0, 0, 0)
    fill(ring, range(2))
    assert observe(ring, 0, out) == (2, 2, 0)
    assert out["sample_index"][:2].tolist() == [0, 1]
    fill(ring, range(2, 9))
    reserve(ring)
    assert observe(ring, 2, out) == (3, 9, 4)
    assert out["sample_index"].tolist() == [6, 7, 8]
    assert observe(ring, 9, out) == (0, 9, 0)


def test_the_file_is_private_and_goes_when_its_maker_closes(folder):
    arena = Arena.create("a", SPEC, folder)
    (path,) = folder.iterdir()
    assert path.name == "wetloop-a"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert segments(folder) == [Segment("a", stale=False, size_bytes=path.stat().st_size)]
    control = arena.arrays["control"]
    Arena.attach("a", folder).close()
    assert path.exists(), "only the maker removes it"
    arena.close()
    assert not path.exists()
    control[3] = 4
    with Arena.create("a", SPEC, folder) as second:
        arena.close()
        assert path.exists(), "closing twice does not touch the next segment"
        assert second.arrays["control"][3] == 0
        assert control[3] == 4, "arrays outlive the name"


def test_the_default_folder_is_memory_where_there_is_some():
    name = f"test-{os.getpid()}"
    with Arena.create(name, {"x": (np.int8, (1,))}):
        assert (FOLDER / f"wetloop-{name}").exists()
        assert name not in sweep()
        assert name in [segment.name for segment in segments()]
    assert name not in [segment.name for segment in segments()]


@pytest.mark.parametrize("farewell", ["close", "none"])
def test_a_process_may_end_without_a_word(folder, farewell):
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", NO_FAREWELL, str(folder), farewell]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert sweep(folder) == ([] if farewell == "close" else ["forgotten"])
    assert list(folder.iterdir()) == []


def test_a_name_in_use_is_refused_and_left_alone(folder):
    with Arena.create("a", SPEC, folder) as arena:
        arena.arrays["control"][:] = 1
        with pytest.raises(RigError, match="in use"):
            Arena.create("a", SPEC, folder)
        assert Arena.attach("a", folder).arrays["control"].all()
        assert [path.name for path in folder.iterdir()] == ["wetloop-a"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", "a\n"])
def test_names_that_leave_the_folder_are_refused(folder, name):
    with pytest.raises(RigError, match="cannot name"):
        Arena.create(name, SPEC, folder)


def test_too_much_is_refused_before_it_is_used(folder):
    with pytest.raises(RigError, match=r"no shared memory of \d+\.\d MB"):
        Arena.create("a", {"x": (np.int8, (1 << 55,))}, folder)
    assert list(folder.iterdir()) == []


def test_what_does_not_exist_is_not_attached(folder):
    with pytest.raises(RigError, match="no such shared memory"):
        Arena.attach("a", folder)


def with_lock(path, content):
    """Return a file of this content, locked as if a process mapped it."""
    file = path.open("wb+")
    file.write(content)
    file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def valid(folder):
    """Return the bytes of a segment."""
    with Arena.create("model", {"x": ("<i8", (3,))}, folder):
        return (folder / "wetloop-model").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: b"", "no shared memory of Wetloop"),
        (lambda _: b"notes of a person", "no shared memory of Wetloop"),
        (lambda good: good[:8] + b"\x07\0\0\0" + good[12:], "layout 7"),
        (lambda good: good[:12], "damaged"),
        (lambda good: good[:30], "damaged"),
        (lambda good: good.replace(b"<i8", b"<z8"), "damaged"),
        (lambda good: good.replace(b"[3]", b"[x]"), "damaged"),
        (lambda good: good.replace(b"[3]", b"3  "), "damaged"),
        (lambda good: good.replace(b'[["x", "<i8"', b'[[["x"], "8"'), "damaged"),
        (lambda good: good[:-1], "incomplete"),
    ],
)
def test_foreign_and_incomplete_files_are_not_attached(folder, spoil, message):
    with with_lock(folder / "wetloop-a", spoil(valid(folder))), pytest.raises(RigError, match=message):
        Arena.attach("a", folder)


def test_stale_segments_are_not_attached_and_are_swept(folder):
    (folder / "wetloop-a").write_bytes(valid(folder))
    (folder / ".wetloop-new-x1").write_bytes(b"killed here")
    with pytest.raises(RigError, match="has died"):
        Arena.attach("a", folder)
    assert sweep(folder) == ["a"]
    assert list(folder.iterdir()) == []


def test_only_segments_are_swept(folder):
    notes = folder / "wetloop-notes.txt"
    notes.write_text(json.dumps("not ours"))
    (folder / "wetloop-folder").mkdir()
    with Arena.create("live", SPEC, folder):
        assert [segment.name for segment in segments(folder)] == ["live"]
        assert sweep(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == ["wetloop-folder", notes.name]


def test_one_that_looks_reads_what_is_written_and_cannot_write(folder):
    with Arena.create("a", {"control": (np.int64, (7,))}, folder) as arena:
        seen = Arena.attach("a", folder, writable=False)
        arena.arrays["control"][:] = 5
        assert seen.arrays["control"].tolist() == [5] * 7
        with pytest.raises(ValueError, match="read-only"):
            seen.arrays["control"][0] = 1
        assert segments(folder) == [Segment("a", False, segments(folder)[0].size_bytes)]


def test_silence_needs_the_standard_library_only(folder):
    with (
        Arena.create("one", {"control": (np.int64, (CONTROL_WORDS,)), "b": (np.int8, (3,))}, folder) as one,
        Arena.create("two", {"control": (np.int64, (CONTROL_WORDS,))}, folder) as two,
        Arena.create("other", {"samples": (np.int64, (CONTROL_WORDS,))}, folder) as other,
    ):
        assert silence_at_once(["one"], folder) == ["one"]
        assert (np.flatnonzero(one.arrays["control"]).tolist(), two.arrays["control"].any()) == ([SILENCE], False)
        assert silence_at_once([], folder) == ["one", "two"]
        assert two.arrays["control"][SILENCE] == 1
        assert not other.arrays["samples"].any()
        assert silence_at_once(["none", "../one"], folder) == ["one"]
    code = "import sys, wetloop.engine.halt; sys.exit('numpy' in sys.modules or 'typer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
