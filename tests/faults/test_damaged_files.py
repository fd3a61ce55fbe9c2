"""Whatever happens to one of the two files, the other one brings the session back, and no damage crashes the reader."""

import numpy as np

from wetloop.recording.journal import journal_path
from wetloop.recording.recover import recover

FLIPS = 32


def lay_out(folder, name, nwb, journal):
    """Put a recording and its journal into a folder."""
    path = folder / f"{name}.nwb"
    path.write_bytes(nwb)
    journal_path(path).write_bytes(journal)


def flipped(data, rng):
    """Return the data with 1 to 8 bits turned."""
    damaged = bytearray(data)
    for at in rng.integers(len(data), size=int(rng.integers(1, 9))):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def check(reports, folder, truth, n_batches):
    """See that all rows are there, of each recording, and that those recovered hold what was recorded."""
    recovered = sorted(folder.glob("*.recovered"))
    assert recovered
    for path in recovered:
        truth.recording(path, n_batches)
    spikes = [report["rows"]["events/detected_spikes"] for report in reports.values() if not report["crashed"]]
    assert min(spikes) >= 200 * n_batches


def test_a_recording_cut_at_every_percent_comes_back_from_its_journal(unfinished, truth, read_damaged, tmp_path):
    nwb, journal = unfinished.after
    for percent in range(100):
        lay_out(tmp_path, f"{percent:02}", nwb[: len(nwb) * percent // 100], journal)
    reports = read_damaged(tmp_path, 20)
    assert len(reports) == 100
    assert not any(report["crashed"] for report in reports.values())
    check(reports, tmp_path, truth, 16)


def test_a_journal_cut_at_any_place_leaves_what_the_file_has(unfinished, truth, read_damaged, tmp_path):
    nwb, journal = unfinished.before
    for percent in range(0, 100, 5):
        lay_out(tmp_path, f"{percent:02}", nwb, journal[: len(journal) * percent // 100])
    check(read_damaged(tmp_path, 5), tmp_path, truth, unfinished.n_acknowledged)


def test_flipped_bits_in_the_recording_are_healed_from_the_journal(unfinished, truth, read_damaged, tmp_path):
    nwb, journal = unfinished.after
    for seed in range(FLIPS):
        lay_out(tmp_path, f"{seed:02}", flipped(nwb, np.random.default_rng(seed)), journal)
    check(read_damaged(tmp_path, 8), tmp_path, truth, 16)


def test_flipped_bits_without_a_journal_lose_rows_but_never_the_reader(unfinished, read_damaged, tmp_path):
    nwb, _ = unfinished.after
    for seed in range(FLIPS):
        (tmp_path / f"{seed:02}.nwb").write_bytes(flipped(nwb, np.random.default_rng(seed)))
    reports = read_damaged(tmp_path, FLIPS)
    assert len(reports) == FLIPS
    assert sum(bool(report.get("rows")) for report in reports.values()) > FLIPS // 2


def test_a_lost_recording_comes_back_from_its_journal_alone(unfinished, truth, tmp_path):
    path = tmp_path / "gone.nwb"
    journal_path(path).write_bytes(unfinished.after[1])
    report = recover(path)
    truth.recording(report.recovered, 16)
    assert not path.exists()
