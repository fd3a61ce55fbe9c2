"""What HDF5 writes reaches the file at a commit, whole or not at all."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop.recording.storage import Storage

WRITES = st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=20)), max_size=12)


def put(storage, offset, data):
    storage.seek(offset)
    storage.write(memoryview(data))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@given(
    batches=st.lists(WRITES, max_size=4),
    start=st.integers(0, 80),
    size=st.integers(-1, 90),
    large_bytes=st.sampled_from([4, 10, 1000]),
    page_bytes=st.sampled_from([4, 7, 1 << 16]),
)
def test_storage_reads_and_commits_like_a_file(batches, start, size, large_bytes, page_bytes):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("wetloop.recording.storage.PAGE_BYTES", page_bytes)
        path, model = Path(folder) / "file", bytearray()
        storage = Storage(path, large_bytes)
        for batch in batches:
            before = bytes(model)
            for offset, data in batch:
                put(storage, offset, data)
                end = offset + len(data)
                model.extend(bytes(max(0, end - len(model))))
                model[offset:end] = data
            assert path.read_bytes()[: len(before)] == before
            storage.seek(start)
            assert storage.read(size) == bytes(model[start:] if size < 0 else model[start : start + size])
            storage.commit()
            assert path.read_bytes() == bytes(model)
        storage.close()


def test_what_was_not_committed_is_lost_at_close(path):
    storage = Storage(path)
    put(storage, 0, b"kept")
    storage.commit()
    put(storage, 2, b"lost")
    storage.close()
    assert path.read_bytes() == b"kept"


def test_a_shorter_file_is_cut_at_the_commit(path):
    storage = Storage(path)
    put(storage, 0, b"abcdef")
    storage.commit()
    storage.truncate(2)
    assert path.read_bytes() == b"abcdef"
    storage.commit()
    storage.close()
    assert path.read_bytes() == b"ab"


def test_large_pieces_go_to_the_file_at_once_and_vanish_without_a_commit(path):
    storage = Storage(path, large_bytes=4)
    put(storage, 0, b"kept")
    storage.commit()
    put(storage, 4, b"large")
    assert path.read_bytes() == b"keptlarge"
    put(storage, 0, b"over")
    put(storage, 2, b"lapping")
    assert path.read_bytes() == b"keptlarge"
    storage.close()
    assert path.read_bytes() == b"kept"
