"""What real cultures on arrays of this kind do at rest: the yardstick of the simulated one.

Computed with ``wetloop.analysis.activity`` from 23 recordings of 15 min of mouse cortical cultures (C57) at 21 and 22
days in vitro on 59 electrodes, 200 um apart: all of that age and region without drug in the data of Charlesworth,
Cotterill, Morton, Grant and Eglen, "Quantitative differences in developmental profiles of spontaneous activity in
cortical and hippocampal cultures", Neural Development 10:1 (2015), published as the package ``g2chvcdata``. The
recordings themselves are not part of Wetloop. Several come from wells of the same plates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wetloop.analysis.activity import RestStatistics

N_RECORDINGS = 23


class Quartiles(NamedTuple):
    """First quartile, median and third quartile over recordings."""

    lower: float
    median: float
    upper: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies between the quartiles."""
        return self.lower <= value <= self.upper


CORTEX_DIV_21 = {
    "median_rate_hz": Quartiles(0.372, 1.472, 2.763),
    "mean_rate_hz": Quartiles(1.615, 2.545, 4.143),
    "bursts_per_min": Quartiles(17.78, 20.81, 23.475),
    "burst_duration_s": Quartiles(0.224, 0.368, 0.584),
    "share_in_bursts": Quartiles(0.617, 0.854, 0.907),
    "burst_interval_cv": Quartiles(0.692, 0.778, 0.868),
}
"""By the names of ``RestStatistics``."""


def fits(statistics: RestStatistics) -> dict[str, bool]:
    """Return which statistics lie inside the inter-quartile range of the real cultures."""
    return {name: CORTEX_DIV_21[name].holds(value) for name, value in statistics.to_dict().items()}
