"""Sessions are cut into rallies from serve to miss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop.recording.episodes import episodes
from wetloop.recording.schema import decision_dtype

EVENTS = ("hit", "miss")
HIT, MISS = 1, 2


def make(*decisions):
    """Return decisions of 10 samples each from (playing, events, terminated, truncated)."""
    rows = np.zeros(len(decisions), decision_dtype(1, 1))
    rows["start_sample"] = 10 * np.arange(len(decisions))
    rows["stop_sample"] = rows["start_sample"] + 10
    for row, (playing, events, terminated, truncated) in zip(rows, decisions, strict=True):
        row["playing"], row["events"] = playing, events
        row["terminated"], row["truncated"] = terminated, truncated
    return rows


def one_by_one(rows):
    """Return the episodes as a plain loop finds them."""
    found, start, hits = [], None, 0
    for row in rows:
        if start is None and row["playing"]:
            start, hits = row["start_sample"], 0
        if start is None:
            continue
        hits += bool(row["events"] & HIT)
        causes = {
            "miss": row["events"] & MISS,
            "terminated": row["terminated"],
            "truncated": row["truncated"],
        }
        cause = next((name for name, happened in causes.items() if happened), None)
        if cause:
            found.append((start, row["stop_sample"], hits, cause))
            start = None
    if start is not None:
        found.append((start, rows["stop_sample"][-1], hits, "session end"))
    return found


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans(), st.booleans())))
def test_episodes_are_those_of_a_plain_loop(decisions):
    rows = make(*decisions)
    assert episodes(rows, EVENTS).tolist() == one_by_one(rows)


def test_a_rally_lasts_from_serve_to_miss_and_counts_its_hits():
    rows = make((0, 0, 0, 0), (1, 0, 0, 0), (1, HIT, 0, 0), (1, HIT, 0, 0), (1, MISS, 1, 0), (0, 0, 0, 0))
    assert episodes(rows, EVENTS).tolist() == [(10, 50, 2, "miss")]


def test_an_unfinished_rally_ends_with_the_session():
    assert episodes(make((1, 0, 0, 0), (1, HIT, 0, 0)), EVENTS).tolist() == [(0, 20, 1, "session end")]


@pytest.mark.parametrize("rows", [make(), make((0, MISS, 1, 1), (0, 0, 0, 0))])
def test_without_play_there_is_no_rally(rows):
    assert len(episodes(rows, EVENTS)) == 0


def test_a_task_without_hits_and_misses_ends_by_its_flags():
    rows = make((1, 1, 0, 0), (1, 1, 0, 1), (1, 1, 1, 0))
    assert episodes(rows, ("kill",)).tolist() == [(0, 20, 0, "truncated"), (20, 30, 0, "terminated")]
