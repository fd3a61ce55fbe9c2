"""A recorder killed at any instant loses nothing that was acknowledged, and can be recovered."""

import pytest

from wetloop.recording.journal import journal_path
from wetloop.recording.recover import rebuild
from wetloop.recording.survey import survey

KILLS = 25


@pytest.mark.parametrize("first", [0, 1000])
def test_kills_at_random_instants_lose_nothing_acknowledged(child, truth, tmp_path, first):
    child("be_killed", tmp_path, first, KILLS)
    n_recovered = 0
    for seed in range(first, first + KILLS):
        path = tmp_path / f"{seed}.nwb"
        n_acknowledged = truth.acknowledged_batches(path)
        found = survey(journal_path(path)) if journal_path(path).exists() else None
        if found is None or found.opening is None:
            assert n_acknowledged == 0
            continue
        into = tmp_path / f"{seed}.recovered.nwb"
        report = rebuild([found], path, into)
        truth.recording(into, n_acknowledged)
        assert report.lost[-1]["what"] == "everything"
        assert report.lost[-1]["from_sample"] >= process_samples(n_acknowledged)
        if n_acknowledged:
            truth.recording(path, 0)
        n_recovered += 1
    assert n_recovered > KILLS // 3


def process_samples(n_batches):
    """Return the samples in so many batches of 200 ms."""
    return 5000 * n_batches
