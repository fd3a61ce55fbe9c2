"""Rows of LSL streams: round trips, and nothing strange ever becomes a spike or a pulse."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop_drivers.lsl import LslConfig
from wetloop_drivers.lsl_wire import pack_table, parse_table, spikes_of

FINITE = st.floats(-1e6, 1e6)
PATTERNS = st.lists(
    st.builds(
        Pattern,
        st.builds(Pulse, FINITE, FINITE, FINITE, FINITE, st.sampled_from(["mV", "uA"]), FINITE),
        st.lists(st.integers(0, 1023), max_size=4).map(tuple),
    ),
    max_size=4,
)
ROWS = st.lists(st.tuples(st.floats(width=32), st.floats(width=32), st.integers(-5000, 5000)), max_size=20)


@given(PATTERNS)
def test_a_table_is_read_as_it_was_written(patterns):
    assert parse_table(pack_table(patterns)) == patterns


@given(st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_description_is_a_table_or_refused(text):
    with suppress(RigError):
        assert isinstance(parse_table(text), list)


@given(ROWS)
def test_rows_become_ordered_spikes_or_are_counted(told):
    rows = np.array([row[:2] for row in told], float).reshape(-1, 2)
    index = np.array([row[2] for row in told], np.int64)
    read = spikes_of(rows, index, 1000, 1125, -1500, 64)
    assert len(read.spikes) + read.strange + read.old == len(told)
    known = read.spikes["known_sample"]
    assert ((known >= 1000) & (known < 1125) & (read.spikes["sample_index"] <= known)).all()
    assert (np.lexsort((read.spikes["channel_index"], known)) == np.arange(len(known))).all()
    assert np.isfinite(read.spikes["amplitude_uv"]).all()


def test_a_late_spike_keeps_its_time_and_an_old_one_is_left_out():
    rows = np.array([[3.0, -40.0], [2.0, -30.0], [1.0, -20.0], [0.5, -20.0], [64.0, -20.0]])
    read = spikes_of(rows, np.array([1100, 900, 400, 1100, 1100]), 1000, 1125, 500, 64)
    assert read.spikes[["sample_index", "known_sample", "channel_index"]].tolist() == [(900, 1000, 2), (1100, 1100, 3)]
    assert (read.strange, read.old) == (2, 1)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_age_ms": 8.0}, "would be too old"),
        ({"reconnect": {"policy": "reconnect"}}, "does not tell a cut stream"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, told):
    with pytest.raises(ValidationError, match=told):
        LslConfig(**settings)
