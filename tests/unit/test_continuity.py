"""Packets lost, repeated and overlapping: no wrong counts, gaps told."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.types import Block
from wetloop.engine.continuity import Continuity
from wetloop.kernels.records import SPIKE


def block(start, n):
    spikes = np.zeros(n, SPIKE)
    spikes["sample_index"] = spikes["known_sample"] = np.arange(start, start + n)
    samples = np.arange(start, start + n, dtype=np.int16)[:, None].repeat(2, axis=1)
    return Block(start, n, samples, spikes)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), min_size=1, max_size=30))
def test_every_sample_passes_once_in_order_and_gaps_add_up(packets):
    account, got, lost = Continuity(), [], 0
    for start, n in packets:
        new = account.check(block(start, n))
        if new is not None:
            assert new.n_samples == len(new.samples) == len(new.spikes)
            assert new.samples[0, 0] == new.start_sample == new.spikes["known_sample"][0]
            got += new.samples[:, 0].tolist()
            lost += new.lost_samples
    assert got == sorted(set(got))
    assert lost == got[-1] + 1 - got[0] - len(got)
    assert account.repeated_samples + len(got) == sum(n for _, n in packets)
