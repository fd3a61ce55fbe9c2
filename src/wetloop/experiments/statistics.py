"""What an experiment says: arms in both windows, every arm against the reference, and what may be claimed.

The unit is the culture. Change is late less early; the difference of the changes of two arms (group x time) is tested
by permutation of the arms' labels, within cultures where both arms have the same ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from wetloop.core.plugin import seeded
from wetloop.experiments import effects
from wetloop.experiments.effects import Estimate, cultures_needed, estimate, holm, power
from wetloop.experiments.flat import flat_by_construction, played_on
from wetloop.experiments.protocol import FALLING
from wetloop.experiments.results import ArmResult, Beside, Comparison, Contrast, Test

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from wetloop.experiments.folder import Experiment, Run

    Values = npt.NDArray[np.float64]


class Changes(NamedTuple):
    """Means of each culture in both windows, shape (n_cultures,)."""

    cultures: tuple[str, ...]
    early: Values
    late: Values
    runs: int

    @property
    def change(self) -> Values:
        """Late less early."""
        return self.late - self.early

    def of(self, cultures: Sequence[str]) -> Changes:
        """Return those of some cultures, in their order."""
        rows = [self.cultures.index(name) for name in cultures]
        return Changes(tuple(cultures), self.early[rows], self.late[rows], self.runs)


def compare(experiment: Experiment) -> Comparison:
    """Return what the experiment says; the same runs always say the same."""
    protocol, wanted = experiment.protocol, experiment.protocol.arms
    left_out = _left_out(experiment)
    kept = [run for run in experiment.runs if run.code not in left_out]
    arms, contrasts = [], []
    for metric in protocol.metrics:
        made = _Metric(experiment, metric, kept)
        found, against = _corrected(made.arms(), made.contrasts())
        arms += found
        contrasts += against
    claim = next((each for each in contrasts if each.claim), None)
    return Comparison(
        name=experiment.name,
        ours=played_on(protocol, experiment.plan),
        reference=wanted.reference,
        control=wanted.control,
        primary=protocol.metrics[0],
        alpha=protocol.alpha,
        verdict=_verdict(claim, protocol.alpha),
        arms=arms,
        contrasts=contrasts,
        flat=flat_by_construction(experiment.plan),
        left_out_arms=dict(experiment.plan["left_out"]),
        left_out_runs=left_out,
        published=_beside(experiment, arms),
        deviations=list(experiment.deviations),
    )


def _left_out(experiment: Experiment) -> dict[str, str]:
    """Return why a run is not counted, by its code name."""
    least, why = experiment.protocol.least_rallies, {}
    for run in experiment.runs:
        if not run.completed:
            why[run.code] = f"ended early: {run.ended}"
        elif min(run.episodes.values(), default=0) < least:
            why[run.code] = f"fewer than {least} ended episodes in a window"
    return why


class _Metric:
    """The tests of one metric."""

    def __init__(self, experiment: Experiment, metric: str, runs: Sequence[Run]) -> None:
        self._protocol, self._metric = experiment.protocol, metric
        self._rng = seeded(experiment.protocol.seed, f"experiment statistics {metric}")
        names = list(experiment.plan["arms"])
        self._arms = {name: changes([run for run in runs if run.condition == name], metric) for name in names}

    def arms(self) -> list[ArmResult]:
        return [self._arm(name, arm) for name, arm in self._arms.items()]

    def contrasts(self) -> list[Contrast]:
        reference = self._protocol.arms.reference
        return [self._contrast(reference, name) for name in self._arms if name != reference]

    def _arm(self, name: str, arm: Changes) -> ArmResult:
        early, late, change = (self._estimate((values,), effects.mean) for values in (arm.early, arm.late, arm.change))
        within = _rank_test(arm.late, arm.early, paired=True)
        rose, fell = int((arm.change > 0).sum()), int((arm.change < 0).sum())
        return ArmResult(self._metric, name, len(arm.cultures), arm.runs, early, late, change, rose, fell, within)

    def _contrast(self, reference: str, name: str) -> Contrast:
        one, other = self._arms[reference], self._arms[name]
        shared = [culture for culture in one.cultures if culture in other.cultures]
        paired = len(shared) > 1
        if paired:
            one, other = one.of(shared), other.of(shared)
        alpha, pair = self._protocol.alpha, (one.change, other.change)
        sizes = [self._estimate(pair, f, paired=paired) for f in (
            effects.mean_difference, effects.hedges_g, effects.cliffs_delta,
        )]  # fmt: skip
        effect, n = _effect(*pair, paired=paired), min(map(len, pair))
        return Contrast(
            metric=self._metric,
            condition=reference,
            against=name,
            claim=name == self._protocol.arms.control and self._metric == self._protocol.metrics[0],
            paired=paired,
            cultures=n,
            interaction=self._permutation(*pair, paired=paired),
            late=_rank_test(one.late, other.late, paired=paired),
            difference=sizes[0],
            hedges_g=sizes[1],
            cliffs_delta=sizes[2],
            power_now=None if effect is None else float(power(effect, n, paired=paired, alpha=alpha)),
            cultures_needed=cultures_needed(effect, paired=paired, alpha=alpha),
        )

    def _estimate(
        self, samples: Sequence[Values], statistic: Callable[..., Values], *, paired: bool = False
    ) -> Estimate:
        return estimate(samples, statistic, paired=paired, resamples=self._protocol.resamples, rng=self._rng)

    def _permutation(self, x: Values, y: Values, *, paired: bool) -> Test | None:
        from scipy import stats

        if min(len(x), len(y)) < 2:
            return None
        kind: Literal["samples", "independent"] = "samples" if paired else "independent"
        found = stats.permutation_test(
            (x, y), effects.mean_difference, permutation_type=kind, vectorized=True,
            n_resamples=self._protocol.resamples, rng=self._rng,
        )  # fmt: skip
        name = f"permutation of labels {'within cultures' if paired else 'over cultures'}"
        return Test(name, len(x) if paired else len(x) + len(y), float(found.pvalue), float(found.pvalue))


def changes(runs: Sequence[Run], metric: str) -> Changes:
    """Return the mean of each culture over its runs, of those that have a value in both windows."""
    found: dict[str, list[tuple[float, float]]] = {}
    for run in sorted(runs, key=lambda run: run.code):
        early, late = (run.metrics[metric][window] for window in ("early", "late"))
        if early is not None and late is not None:
            found.setdefault(run.culture, []).append((early, late))
    names = sorted(found)
    means = np.array([np.mean(found[name], axis=0) for name in names]).reshape(-1, 2)
    return Changes(tuple(names), means[:, 0], means[:, 1], sum(map(len, found.values())))


def _rank_test(x: Values, y: Values, *, paired: bool) -> Test | None:
    from scipy import stats

    if min(len(x), len(y)) < 2:
        return None
    name = "Wilcoxon signed-rank" if paired else "Mann-Whitney"
    n = len(x) if paired else len(x) + len(y)
    differ = np.any(x != y) if paired else np.ptp(np.concatenate([x, y])) > 0
    p = 1.0
    if differ:
        p = float(stats.wilcoxon(x, y).pvalue if paired else stats.mannwhitneyu(x, y).pvalue)
    return Test(name, n, p, p)


def _effect(x: Values, y: Values, *, paired: bool) -> float | None:
    """Return the standardised difference on which power depends."""
    if min(len(x), len(y)) < 2:
        return None
    if not paired:
        found = float(effects.cohen_d(x, y))
        return found if np.isfinite(found) else None
    spread = float(np.std(x - y, ddof=1))
    return float(np.mean(x - y)) / spread if spread > 0 else None


def _corrected(arms: list[ArmResult], contrasts: list[Contrast]) -> tuple[list[ArmResult], list[Contrast]]:
    """Return the results of one metric with Holm's correction over all tests but that of the claim."""
    tests = [arm.within for arm in arms]
    tests += [each.interaction for each in contrasts if not each.claim] + [each.late for each in contrasts]
    family = [test for test in tests if test is not None]
    p = dict(zip(map(id, family), holm([test.p for test in family]), strict=True))

    def read(test: Test | None) -> Test | None:
        return None if test is None else replace(test, corrected_p=p.get(id(test), test.p))

    return (
        [replace(arm, within=read(arm.within)) for arm in arms],
        [replace(each, interaction=read(each.interaction), late=read(each.late)) for each in contrasts],
    )


def _verdict(claim: Contrast | None, alpha: float) -> str:
    if claim is None or claim.interaction is None or claim.difference.value is None:
        return "No claim: too few cultures in reference and control."
    test, change = claim.interaction, claim.difference.value
    words = f"{claim.metric}, {claim.condition} against {claim.against}, {claim.cultures} cultures: p = {test.p:.3g}"
    if test.p >= alpha:
        return f"Not shown: {words} is not below {alpha:g}. That is no evidence that nothing was learned."
    falls = claim.metric in FALLING
    changed = "fell" if falls else "changed"
    if (change > 0) == falls:
        return f"The opposite: {claim.condition} {changed} less than {claim.against} ({words})."
    return f"Shown at alpha {alpha:g}: {claim.condition} {changed} more than {claim.against} ({words})."


def _beside(experiment: Experiment, arms: Sequence[ArmResult]) -> list[Beside]:
    ours = {(arm.condition, arm.metric): arm for arm in arms}
    nothing = Estimate(None)
    rows = []
    for each in experiment.protocol.published:
        arm = ours.get((each.arm, each.metric))
        found = nothing if arm is None else getattr(arm, each.window)
        rows.append(Beside(each.arm, each.metric, each.window, found, each.value, each.says, each.source))
    return rows
