"""A full disk ends a recording, but loses nothing acknowledged; the guard ends it before."""

import subprocess

import pytest

from wetloop.recording.journal import journal_path
from wetloop.recording.reader import Recording
from wetloop.recording.recover import recover


@pytest.mark.parametrize("limit_bytes", [700_000, 1_000_000])
def test_a_disk_that_refuses_leaves_all_that_was_acknowledged(child, truth, tmp_path, limit_bytes):
    path = tmp_path / "full.nwb"
    said = child("fill_up", path, limit_bytes)
    assert f"then run: wetloop recover {path}" in said
    assert "File too large" in said
    n_acknowledged = truth.acknowledged_batches(path)
    assert n_acknowledged > 0
    truth.recording(path, 0)
    report = recover(path)
    truth.recording(report.recovered, n_acknowledged)
    assert report.lost[-1]["to_sample"] is None


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting takes root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_file_system_leaves_all_that_was_acknowledged(child, truth, tmp_path, small_disk):
    path = small_disk / "full.nwb"
    assert "No space left on device" in child("fill_a_small_disk", path, 0)
    n_acknowledged = truth.acknowledged_batches(path)
    truth.journal(journal_path(path), n_acknowledged)
    report = recover(path, tmp_path / "recovered.nwb")
    truth.recording(report.recovered, n_acknowledged)


def test_no_recording_is_begun_that_would_end_at_once(child, small_disk):
    path = small_disk / "never.nwb"
    said = child("fill_a_small_disk", path, 40)
    assert "not begun, for 8 MB are free and 40 MB are to be left" in said
    assert list(small_disk.iterdir()) == []


def test_the_guard_completes_the_file_before_the_disk_is_full(child, truth, small_disk):
    path = small_disk / "guarded.nwb"
    said = child("fill_a_small_disk", path, 16)
    assert "the disk is nearly full" in said
    assert not journal_path(path).exists()
    truth.recording(path, truth.acknowledged_batches(path))
    with Recording(path) as recording:
        assert recording.complete
        assert recording.summary == {"ended": "disk nearly full"}
