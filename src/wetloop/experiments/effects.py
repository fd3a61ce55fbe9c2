"""Effect sizes, their intervals, power, and Holm's correction: what ``scipy.stats`` has, put together.

Functions of samples take the axis along which the units lie, as ``scipy.stats`` calls them on many samples at once.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Values = npt.NDArray[np.float64]
    Statistic = Callable[..., Values]

WANTED_POWER = 0.8
MOST_CULTURES = 5000
LEAST_FOR_INTERVAL = 4
"""Units below which a bootstrap says nothing."""
BATCH = 500
"""Bootstrap samples held at once."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; None where there is too little to tell."""

    value: float | None
    low: float | None = None
    high: float | None = None


def mean(x: Values, axis: int = -1) -> Values:
    """Return the mean."""
    found: Values = np.mean(x, axis=axis)
    return found


def mean_difference(x: Values, y: Values, axis: int = -1) -> Values:
    """Return the difference of the means."""
    return mean(x, axis) - mean(y, axis)


def cohen_d(x: Values, y: Values, axis: int = -1) -> Values:
    """Return the difference of the means over the pooled standard deviation (Cohen 1988)."""
    n, m = x.shape[axis], y.shape[axis]
    pooled = ((n - 1) * np.var(x, axis=axis, ddof=1) + (m - 1) * np.var(y, axis=axis, ddof=1)) / (n + m - 2)
    unknown = np.full(pooled.shape, np.nan)
    found: Values = np.divide(mean_difference(x, y, axis), np.sqrt(pooled), where=pooled > 0, out=unknown)
    return found


def hedges_g(x: Values, y: Values, axis: int = -1) -> Values:
    """Return Cohen's d without its bias in small samples (Hedges 1981, the usual approximation)."""
    return cohen_d(x, y, axis) * (1 - 3 / (4 * (x.shape[axis] + y.shape[axis] - 2) - 1))


def cliffs_delta(x: Values, y: Values, axis: int = -1) -> Values:
    """Return the share of pairs in which x is larger, less that in which y is (Cliff 1993); ties count for none."""
    x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    found: Values = np.sign(x[..., :, None] - y[..., None, :]).mean(axis=(-2, -1))
    return found


def estimate(
    samples: Sequence[Values], statistic: Statistic, *, paired: bool, resamples: int, rng: np.random.Generator
) -> Estimate:
    """Return a statistic with its bias-corrected accelerated bootstrap interval (Efron 1987)."""
    from scipy import stats

    if min(map(len, samples)) < 2:
        return Estimate(None)
    value = _finite(statistic(*samples))
    varies = any(np.ptp(sample) > 0 for sample in samples)
    if value is None or not varies or min(map(len, samples)) < LEAST_FOR_INTERVAL:
        return Estimate(value)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        interval = stats.bootstrap(
            samples, statistic, paired=paired and len(samples) > 1, n_resamples=resamples, batch=BATCH,
            vectorized=True, method="BCa", rng=rng,
        ).confidence_interval  # fmt: skip
    return Estimate(value, _finite(interval.low), _finite(interval.high))


def _finite(value: npt.ArrayLike) -> float | None:
    number = float(np.asarray(value))
    return number if np.isfinite(number) else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's step-down method (Holm, Scandinavian Journal of Statistics 1979)."""
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    raised = np.maximum.accumulate(np.asarray(p_values)[order] * (n - np.arange(n)))
    corrected = np.empty(n)
    corrected[order] = np.minimum(1.0, raised)
    return [float(p) for p in corrected]


def power(effect: float, n: npt.ArrayLike, *, paired: bool, alpha: float) -> Values:
    """Return the power of a two-sided t test with n cultures per arm, from the noncentral t distribution.

    ``effect`` is the standardised difference: of the differences within cultures if paired, else Cohen's d.
    """
    from scipy import stats

    n = np.asarray(n, float)
    freedom = n - 1 if paired else 2 * n - 2
    shift = abs(effect) * np.sqrt(n if paired else n / 2)
    edge = stats.t.ppf(1 - alpha / 2, freedom)
    found = stats.nct.sf(edge, freedom, shift) + stats.nct.cdf(-edge, freedom, shift)
    return np.where(np.isfinite(found), np.minimum(found, 1.0), 1.0)


def cultures_needed(effect: float | None, *, paired: bool, alpha: float) -> int | None:
    """Return how many cultures per arm give 80 % power; None where there is no effect, or not enough cultures."""
    if not effect:
        return None
    n = np.arange(2, MOST_CULTURES)
    enough = power(effect, n, paired=paired, alpha=alpha) >= WANTED_POWER
    return int(n[enough.argmax()]) if enough.any() else None
