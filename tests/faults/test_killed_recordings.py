"""A recorder killed at any instant loses nothing that was acknowledged, and can be recovered."""

import pytest

from wetloop.recording.journal import journal_path
from wetloop.recording.rebuild import rebuild
from wetloop.recording.survey import survey

KILLS = 26
EVERY = 6
BATCH_SAMPLES = 5000


@pytest.mark.parametrize("first", [0, 1000])
def test_kills_at_random_instants_lose_nothing_acknowledged(child, truth, tmp_path, first):
    child("be_killed", tmp_path, first, KILLS)
    n_acknowledged_in_all = 0
    for seed in range(first, first + KILLS):
        path = tmp_path / f"{seed}.nwb"
        n_acknowledged = truth.acknowledged_batches(path)
        n_acknowledged_in_all += n_acknowledged
        found = survey(journal_path(path)) if journal_path(path).exists() else None
        if found is None or found.opening is None:
            assert n_acknowledged == 0
            continue
        truth.journal(journal_path(path), n_acknowledged)
        if seed % EVERY == 1:
            into = tmp_path / f"{seed}.recovered.nwb"
            report = rebuild([found], path, into)
            truth.recording(into, n_acknowledged)
            assert report.lost[-1]["what"] == "everything"
            assert report.lost[-1]["from_sample"] >= BATCH_SAMPLES * n_acknowledged
    assert n_acknowledged_in_all > KILLS
