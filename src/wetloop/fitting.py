"""Fits the linear decoder to recordings: ridge regression on decisions in play, tested on blocks of time left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.coding.activity import ChannelRates
from wetloop.coding.linear_config import LinearWeights
from wetloop.core.errors import ConfigError
from wetloop.recording.reader import Recording
from wetloop.recording.windows import batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from wetloop.core.types import Records

    Matrix = npt.NDArray[np.float64]

LEAST_PER_FOLD = 100
"""Decisions in play, for each block of the cross-validation."""
LEAST_SPREAD_HZ = 0.1
"""Of a standardised rate: one spike in minutes, or the tail of one before them, must not weigh as much as activity."""
MEMORY = 3.0
"""Time constants of the rates after which a decision counts as independent of one before it."""


@dataclass(frozen=True)
class FitOptions:
    """What to fit, and how.

    Attributes
    ----------
    target
        ``action``, or the name of an observation, which is fitted as a standard score.
    minus
        Observation to subtract from the target, such as the paddle from the ball.
    alpha
        Ridge penalty on the weights of standardised rates.
    smoothing_ms
        Time constant of the rates, ms.
    lags, lag_ms
        Points in time at which rates go in, and how far apart they lie, ms.
    folds
        Blocks of time of the cross-validation.
    """

    target: str = "action"
    minus: str | None = None
    alpha: float = 1.0
    smoothing_ms: float = 100.0
    lags: int = 1
    lag_ms: float = 100.0
    folds: int = 5

    @property
    def name(self) -> str:
        """The target in words."""
        return self.target if self.minus is None else f"{self.target} - {self.minus}"


class Examples(NamedTuple):
    """Rates, Hz, shape (n_decisions, n_rates), and what is to be told from them, shape (n_decisions, n_outputs)."""

    rates: Matrix
    values: Matrix

    def at(self, rows: npt.NDArray[np.intp]) -> Examples:
        """Return some of the rows."""
        return Examples(self.rates[rows], self.values[rows])


class Origin(NamedTuple):
    """What recordings must have in common to be fitted together."""

    task: str
    action_names: tuple[str, ...]
    channels: tuple[int, ...]
    n_channels: int
    decision_s: float


def fit(paths: Sequence[Path], options: FitOptions) -> LinearWeights:
    """Return the weights of a linear decoder fitted to all the recordings.

    An observation is the one that stood while the spikes of a decision came in: that of the decision before.

    Raises
    ------
    ConfigError
        Where the recordings do not belong together, or do not hold what is to be fitted.
    """
    origin, identifiers, parts = None, [], []
    for path in paths:
        with Recording(path) as recording:
            here = _origin(recording)
            if origin is not None and here != origin:
                raise ConfigError(f"{path} differs from {paths[0]} in {_difference(origin, here)}: fit them one by one")
            origin = here
            identifiers.append(str(recording.header["identifier"]))
            parts.append(_examples(recording, origin, options))
    if origin is None:
        raise ConfigError("nothing to fit: name at least one recording")
    together = Examples(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return _fitted(_standardised(together, options), origin, tuple(identifiers), options)


def _fitted(examples: Examples, origin: Origin, identifiers: tuple[str, ...], options: FitOptions) -> LinearWeights:
    weights, intercept = ridge(examples, options.alpha)
    return LinearWeights(
        target=options.name,
        outputs=origin.action_names if options.target == "action" else (options.name,),
        channels=origin.channels,
        smoothing_ms=options.smoothing_ms,
        lags=options.lags,
        lag_ms=options.lag_ms,
        alpha=options.alpha,
        decisions=len(examples.values),
        folds=options.folds,
        held_out_r2=tuple(held_out_r2(examples, options, origin.decision_s).tolist()),
        recordings=identifiers,
        intercept=tuple(intercept.tolist()),
        weights=tuple(map(tuple, weights.T.tolist())),
    ).signed()


def ridge(examples: Examples, alpha: float) -> tuple[Matrix, Matrix]:
    """Return weights per Hz, shape (n_rates, n_outputs), and intercepts; the penalty is on standardised rates.

    Hoerl and Kennard, Technometrics 1970.
    """
    from scipy import linalg

    mean, spread = examples.rates.mean(axis=0), np.maximum(LEAST_SPREAD_HZ, examples.rates.std(axis=0))
    rates, level = (examples.rates - mean) / spread, examples.values.mean(axis=0)
    gram = rates.T @ rates + alpha * np.eye(len(mean))
    weights = linalg.solve(gram, rates.T @ (examples.values - level), assume_a="pos") / spread[:, None]
    return weights, level - mean @ weights


def held_out_r2(examples: Examples, options: FitOptions, decision_s: float) -> Matrix:
    """Return the share of variance predicted in blocks that were left out, shape (n_outputs,); constants are worth 0.

    Decisions next to a block share spikes with it, and are left out of the fit as well.
    """
    gap = math.ceil((MEMORY * options.smoothing_ms + options.lags * options.lag_ms) / 1000 / decision_s)
    missed = np.zeros(examples.values.shape[1])
    varied = np.zeros_like(missed)
    everything = np.arange(len(examples.values))
    for block in np.array_split(everything, options.folds):
        apart = (everything < block[0] - gap) | (everything > block[-1] + gap)
        train, test = examples.at(np.flatnonzero(apart)), examples.at(block)
        weights, intercept = ridge(train, options.alpha)
        missed += ((test.values - test.rates @ weights - intercept) ** 2).sum(axis=0)
        varied += ((test.values - train.values.mean(axis=0)) ** 2).sum(axis=0)
    return 1 - missed / varied


def _origin(recording: Recording) -> Origin:
    header, info = recording.header, recording.info
    return Origin(
        task=recording.config["task"]["kind"],
        action_names=tuple(header["action_names"]),
        channels=tuple(np.flatnonzero(recording.layout.regions >= 0).tolist()),
        n_channels=info.n_channels,
        decision_s=header["decision_samples"] / info.sampling_frequency,
    )


def _difference(one: Origin, other: Origin) -> str:
    differs = [name for name, a, b in zip(Origin._fields, one, other, strict=True) if a != b]
    return ", ".join(name.replace("_", " ") for name in differs)


def _examples(recording: Recording, origin: Origin, options: FitOptions) -> Examples:
    decisions = recording.decisions()
    values = _values(recording, decisions, options)
    playing = np.flatnonzero(decisions["playing"])
    rates = np.empty((len(playing), options.lags * len(origin.channels)))
    for row, hz in zip(rates, _rates(recording, decisions, origin, options), strict=True):
        row[:] = hz
    kept = playing > 0  # nothing had been shown before the first decision
    return Examples(rates[kept], values[playing[kept]])


def _rates(recording: Recording, decisions: Records, origin: Origin, options: FitOptions) -> Iterator[Matrix]:
    """Yield the rates at each decision in play, as the decoder would see them."""
    rates = ChannelRates(
        origin.channels,
        origin.n_channels,
        origin.decision_s,
        smoothing_ms=options.smoothing_ms,
        lags=options.lags,
        lag_ms=options.lag_ms,
    )
    for batch, playing in zip(batches(recording.spikes(), decisions), decisions["playing"], strict=True):
        if playing:
            yield rates.update(batch.spikes)


def _values(recording: Recording, decisions: Records, options: FitOptions) -> Matrix:
    """Return the target at each decision, shape (n_decisions, n_outputs)."""
    if options.target == "action" and options.minus is None:
        action: Matrix = decisions["action"]
        return action
    names, observation = list(recording.header["observation_names"]), decisions["observation"].astype(float)
    value = _column(names, options.target, observation)
    if options.minus is not None:
        value -= _column(names, options.minus, observation)
    return np.roll(value, 1)[:, None]


def _column(names: list[str], name: str, observation: Matrix) -> Matrix:
    if name not in names:
        raise ConfigError(f"no observation is called {name!r}: take action, or one of {', '.join(names)}")
    return observation[:, names.index(name)].copy()


def _standardised(examples: Examples, options: FitOptions) -> Examples:
    """Return observations as standard scores, actions as they are; refuse what cannot be fitted."""
    values, least = examples.values, LEAST_PER_FOLD * options.folds
    if len(values) < least:
        raise ConfigError(
            f"only {len(values)} decisions in play: a fit in {options.folds} blocks takes {least} or more"
        )
    spread = values.std(axis=0)
    if not spread.all():
        raise ConfigError(f"{options.name} never changes in these recordings: there is nothing to fit")
    if options.target == "action" and options.minus is None:
        return examples
    return Examples(examples.rates, (values - values.mean(axis=0)) / spread)
