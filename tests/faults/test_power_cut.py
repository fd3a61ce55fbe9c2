"""An emulated power cut: of what was written after the last barrier, any part may be missing; nothing before it may."""

import numpy as np
import pytest

from wetloop.recording.journal import SYNCED, journal_path
from wetloop.recording.recover import recover
from wetloop.recording.survey import Frame, scan

PAGE = 4096
CUTS = 200


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
