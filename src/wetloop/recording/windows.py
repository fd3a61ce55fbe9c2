"""The spikes of a recording as its decoder saw them, decision by decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.core.types import SpikeBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.core.types import Records


def batches(spikes: Records, decisions: Records) -> Iterator[SpikeBatch]:
    """Yield for each decision the spikes that became known in its window, without those kept from the decoder."""
    spikes = spikes[spikes["excluded"] == 0]
    known = spikes["known_sample"]
    edges = np.searchsorted(known, decisions["stop_sample"]).tolist()
    first = int(np.searchsorted(known, decisions["start_sample"][:1]).sum())
    spans = zip(decisions["start_sample"].tolist(), decisions["stop_sample"].tolist(), edges, strict=True)
    for start, stop, edge in spans:
        yield SpikeBatch(start, stop, spikes[first:edge])
        first = edge
