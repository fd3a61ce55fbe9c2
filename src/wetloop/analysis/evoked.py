"""What single pulses evoke: spikes by their latency.

Direct responses come within some ms and hardly vary; synaptic ones follow up to about 200 ms, often as a whole burst
(Wagenaar, Pine and Potter, J. Neurosci. Methods 2004).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.analysis.activity import Activity

    Floats = npt.NDArray[np.float64]

DIRECT_S, EARLY_S, LATE_S = 0.002, 0.02, 0.2
"""Ends of the windows of direct, early and late responses, s after a pulse."""


@dataclass(frozen=True)
class Evoked:
    """Spikes per pulse on the whole array, by latency.

    ``direct`` until 2 ms, ``early`` until 20 ms, ``late`` until 200 ms; ``before`` in the 200 ms before the pulse.
    """

    direct: float
    early: float
    late: float
    before: float
    direct_latency_ms: float
    direct_jitter_ms: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values by name."""
        return asdict(self)


def latencies_s(activity: Activity, pulses_s: Floats, before_s: float, after_s: float) -> Floats:
    """Return the times of spikes relative to each pulse, from ``before_s`` before to ``after_s`` after it, s."""
    first = np.searchsorted(activity.times_s, pulses_s - before_s)
    last = np.searchsorted(activity.times_s, pulses_s + after_s)
    parts = [activity.times_s[a:b] - at for a, b, at in zip(first, last, pulses_s, strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def evoked(activity: Activity, pulses_s: Floats) -> Evoked:
    """Return what the pulses evoke on average; they must be over 400 ms apart."""
    latency = latencies_s(activity, pulses_s, LATE_S, LATE_S)
    n = max(1, len(pulses_s))
    direct = latency[(latency >= 0) & (latency < DIRECT_S)]

    def per_pulse(start_s: float, stop_s: float) -> float:
        return float(np.count_nonzero((latency >= start_s) & (latency < stop_s)) / n)

    return Evoked(
        direct=len(direct) / n,
        early=per_pulse(DIRECT_S, EARLY_S),
        late=per_pulse(EARLY_S, LATE_S),
        before=per_pulse(-LATE_S, 0.0),
        direct_latency_ms=float(np.median(direct) * 1000) if len(direct) else float("nan"),
        direct_jitter_ms=float(direct.std() * 1000) if len(direct) else float("nan"),
    )
