"""An emulated power cut: of what was written after the last barrier, any part may be missing; nothing before it may."""

import os

import fault_process as process
import numpy as np
import pytest

from wetloop.recording.journal import SYNCED, Safekeeping, journal_path
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover
from wetloop.recording.survey import Frame, scan
from wetloop.recording.writer import Writer

PAGE = 4096
CUTS = 200
SESSION_CUTS = 40


def torn(rng, data, barrier):
    """Return a file of which everything after ``barrier`` reached the disk page by page, or not, up to a random end."""
    end = int(rng.integers(barrier, len(data) + 1))
    kept = bytearray(data[:end])
    for start in range(barrier, end, PAGE):
        stop = min(end, (start // PAGE + 1) * PAGE)
        if rng.random() < 0.5:
            kept[start:stop] = bytes(stop - start)
    return bytes(kept)


def test_no_acknowledged_frame_is_lost_in_power_cuts(unfinished, truth, tmp_path):
    _, journal = unfinished.after
    path = tmp_path / "cut.journal"
    path.write_bytes(journal)
    barriers = [f.start for f in scan(path) if isinstance(f, Frame) and f.kind == SYNCED]
    for cut in range(CUTS):
        rng = np.random.default_rng(cut)
        k = int(rng.integers(len(barriers)))
        path.write_bytes(torn(rng, journal[: [*barriers[1:], len(journal)][k]], barriers[k]))
        truth.journal(path, 4 * (k + 1))


@pytest.mark.parametrize("seed", range(4))
def test_a_file_torn_in_mid_commit_is_recovered(unfinished, truth, tmp_path, seed):
    rng = np.random.default_rng(seed)
    (old, journal), (new, _) = unfinished.before, unfinished.after
    mixed = bytearray(new)
    for start in range(0, len(new), PAGE):
        if rng.random() < 0.5:
            before = old[start : start + PAGE]
            mixed[start : start + PAGE] = before + bytes(len(mixed[start : start + PAGE]) - len(before))
    path = tmp_path / "torn.nwb"
    path.write_bytes(mixed)
    journal_path(path).write_bytes(journal)
    report = recover(path)
    truth.recording(report.recovered, unfinished.n_acknowledged)
    assert path.read_bytes() == mixed


class WrittenDown:
    """``os`` for one file, all of whose writes, sizes and barriers are written down in the order of both files."""

    def __init__(self, name, log):
        self._name, self._log, self._size = name, log, 0

    def __getattr__(self, name):
        return getattr(os, name)

    def pwrite(self, fd, data, offset):
        self._log.append((self._name, offset, bytes(data)))
        return os.pwrite(fd, data, offset)

    def write(self, fd, data):
        self._log.append((self._name, self._size, bytes(data)))
        self._size += len(data)
        return os.write(fd, data)

    def ftruncate(self, fd, size):
        self._log.append((self._name, size, None))
        os.ftruncate(fd, size)

    def fdatasync(self, fd):
        self._log.append((self._name, "barrier", None))
        os.fdatasync(fd)


def left_of(log, name, rng):
    """Return what a power cut leaves of a file: one of its sizes, and some of the pages since its last barrier."""
    mine = [(offset, data) for file, offset, data in log if file == name]
    barrier = max((k for k, (offset, _) in enumerate(mine) if offset == "barrier"), default=-1)
    sure = bytearray()
    for offset, data in (op for op in mine[: max(0, barrier)] if op[0] != "barrier"):
        put_down(sure, offset, data)
    sizes, kept = [len(sure)], bytearray(sure)
    for offset, data in mine[barrier + 1 :]:
        if data is None:
            sizes.append(offset)
            continue
        sizes.append(max(sizes[-1], offset + len(data)))
        for start in range(0, len(data), PAGE):
            if rng.random() < 0.5:
                put_down(kept, offset + start, data[start : start + PAGE])
    size = sizes[int(rng.integers(len(sizes)))]
    return bytes(kept[:size]).ljust(size, b"\0")


def put_down(file, offset, data):
    """Write into an array of bytes; without data, that is its new size."""
    if data is None:
        file[:] = bytes(file[:offset]).ljust(offset, b"\0")
        return
    file.extend(bytes(max(0, offset - len(file))))
    file[offset : offset + len(data)] = data


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Everything that a session with raw samples did to its two files, and what it said was safe."""
    log, n_batches = [], 12
    monkeypatch.setattr("wetloop.recording.storage.os", WrittenDown("file", log))
    monkeypatch.setattr("wetloop.recording.journal.os", WrittenDown("journal", log))
    monkeypatch.setattr("wetloop.recording.writer.SYNC_S", 0)
    noise = np.random.default_rng(3).integers(-99, 99, (n_batches * process.SAMPLES, 64)).astype(np.int16)
    path = tmp_path / "written" / "session.nwb"
    path.parent.mkdir()
    header = process.session.make_header()
    writer = Writer(path, header, raw_samples=True, safekeeping=Safekeeping("tables"))
    for batch in range(n_batches):
        samples = noise[batch * process.SAMPLES :][: process.SAMPLES]
        writer.append(**process.rows_of_batch(batch), samples=samples)
        writer.flush()
        log.append(("said", writer.acknowledged_sample // process.SAMPLES, None))
    writer.abort()
    return log, noise


def test_power_cuts_in_mid_session_cost_what_was_on_its_way(written, truth, read_damaged, tmp_path):
    log, noise = written
    said = [k for k, (name, _, _) in enumerate(log) if name == "said"]
    safe, folder = {}, tmp_path / "cuts"
    folder.mkdir()
    for cut in range(SESSION_CUTS):
        rng = np.random.default_rng(cut)
        end = int(rng.integers(said[0] + 1, len(log)))
        path = folder / f"{cut:03}.nwb"
        path.write_bytes(left_of(log[:end], "file", rng))
        journal_path(path).write_bytes(left_of(log[:end], "journal", rng))
        safe[path.name] = max(n for name, n, _ in log[:end] if name == "said")
    reports = read_damaged(folder, 1)
    assert not any(report["crashed"] for report in reports.values())
    n_short = 0
    for name, n_batches in safe.items():
        recovered = (folder / name).with_suffix(".recovered")
        truth.recording(recovered, n_batches)
        with Recording(recovered) as recording:
            samples = recording.samples[: n_batches * process.SAMPLES]
            n_short += not np.array_equal(samples, noise[: n_batches * process.SAMPLES])
    assert n_short <= SESSION_CUTS // 10, (
        "HDF5 rewrites its index in place, so that synced samples may become unreadable"
    )
