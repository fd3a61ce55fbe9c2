"""How measured times spread: percentiles, and a histogram of a few lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

EDGES_US = tuple(step * 10.0**power for power in range(7) for step in (1, 2, 5))
"""Upper edges of the histogram, 1 us to 5 s; the last bin is open."""
BAR_WIDTH = 30


@dataclass(frozen=True)
class Spread:
    """A distribution of times.

    Attributes
    ----------
    times_us
        What was measured, us, shape (n_times,), at least one.
    """

    times_us: npt.NDArray[np.float64]

    def percentile_us(self, percent: float) -> float:
        """Return the time that ``percent`` of all do not exceed, us."""
        return float(np.percentile(self.times_us, percent))

    def describe(self) -> str:
        """Return the percentiles in words."""
        shares = " ".join(f"p{percent:g} {worded_us(self.percentile_us(percent))}," for percent in (50, 99, 99.9))
        return f"{shares} max {worded_us(float(self.times_us.max()))} of {self.times_us.size}"

    def counts(self) -> dict[float, int]:
        """Return the number of times by upper edge, us, from the first bin that holds any to the last."""
        bins = np.searchsorted(EDGES_US, self.times_us, side="right")
        edges = (*EDGES_US, float("inf"))
        return {edges[k]: int((bins == k).sum()) for k in range(bins.min(), bins.max() + 1)}

    def rows(self) -> Iterator[str]:
        """Yield the histogram, a line for each bin."""
        counts = self.counts()
        most = max(counts.values())
        for edge, n in counts.items():
            label = f"< {worded_us(edge)}" if edge < np.inf else f">= {worded_us(EDGES_US[-1])}"
            yield f"{label:>10} {'█' * -(-n * BAR_WIDTH // most):{BAR_WIDTH}} {n:>7}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; times in us, the histogram as pairs of upper edge (none for the last) and count."""
        percentiles = {f"p{percent:g}_us": self.percentile_us(percent) for percent in (50, 99, 99.9)}
        return {
            **percentiles,
            "max_us": float(self.times_us.max()),
            "n": self.times_us.size,
            "histogram": [list(pair) for pair in self.counts().items()],
        }


def worded_us(us: float) -> str:
    """Return a time with the unit that suits it."""
    unit, scale = ("s", 1e6) if us >= 1e6 else ("ms", 1e3) if us >= 1e3 else ("us", 1.0)
    return f"{us / scale:.3g} {unit}"
