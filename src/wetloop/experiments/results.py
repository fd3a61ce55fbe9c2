"""What the statistics of an experiment come to, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wetloop.experiments.effects import Estimate


@dataclass(frozen=True)
class Test:
    """A test: its name, the units that went in, its p-value, and the one to be read.

    ``corrected_p`` is Holm's over all exploratory tests of the metric; for the one claim it is ``p`` itself.
    """

    name: str
    n: int
    p: float
    corrected_p: float


@dataclass(frozen=True)
class ArmResult:
    """One arm and metric: means over cultures in both windows and of their change, and the test within the arm.

    ``rose`` and ``fell`` count cultures whose late window lies above or below their early one.
    """

    metric: str
    condition: str
    cultures: int
    runs: int
    early: Estimate
    late: Estimate
    change: Estimate
    rose: int
    fell: int
    within: Test | None


@dataclass(frozen=True)
class Contrast:
    """The reference against another arm, in one metric.

    Attributes
    ----------
    claim
        Whether this is the one test of the claim.
    paired
        Whether both arms have the same cultures, ``cultures`` of them; else the smaller arm has so many.
    interaction, late
        Permutation test of the difference of changes; rank test of the late window.
    difference
        Difference of the changes, in units of the metric.
    hedges_g, cliffs_delta
        Effect sizes of the changes, as of two groups of cultures.
    power_now, cultures_needed
        Power of a t test at the effect found here with as many cultures, and the cultures per arm for 80 %.
    """

    metric: str
    condition: str
    against: str
    claim: bool
    paired: bool
    cultures: int
    interaction: Test | None
    late: Test | None
    difference: Estimate
    hedges_g: Estimate
    cliffs_delta: Estimate
    power_now: float | None
    cultures_needed: int | None


@dataclass(frozen=True)
class Beside:
    """A published number beside ours."""

    arm: str
    metric: str
    window: str
    ours: Estimate
    published: float | None
    says: str
    source: str


@dataclass(frozen=True)
class Comparison:
    """All that the runs of an experiment say; ``verdict`` is a sentence, ``flat`` why an arm cannot learn.

    ``ours`` says whether what was played on is a model or was measured.
    """

    name: str
    ours: str
    reference: str
    control: str
    primary: str
    alpha: float
    verdict: str
    arms: list[ArmResult]
    contrasts: list[Contrast]
    flat: dict[str, str]
    left_out_arms: dict[str, str]
    left_out_runs: dict[str, str]
    published: list[Beside]
    deviations: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)
