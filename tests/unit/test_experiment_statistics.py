from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wetloop.experiments import Experiment, Run, effects
from wetloop.experiments.protocol import Protocol
from wetloop.experiments.statistics import changes, compare

X, Y = np.array([1.0, 2.0, 4.0, 7.0, 5.0]), np.array([2.0, 1.0, 1.0, 3.0, 0.0])


def made(values, *, resamples=199, seed=1, **protocol):
    """An experiment whose runs have these (early, late) values, by arm and culture."""
    arms = {name: {"condition": "stimulus", "set": []} for name in values}
    wanted = Protocol(name="x", session={}, metrics=["rally_length"], resamples=resamples, seed=seed, **protocol)
    runs = [
        Run(f"{arm}-{k}", arm, arm, f"culture-{k}", "as_given", 0, 1, Path("x.nwb"), "completed",
            {"rally_length": dict(zip(("early", "late"), pair, strict=True))}, {"early": 5, "late": 5}, "", {}, 1.0)
        for arm, pairs in values.items()
        for k, pair in (pairs.items() if isinstance(pairs, dict) else enumerate(pairs))
    ]  # fmt: skip
    plan = {"arms": arms, "session": "source: {kind: poisson}", "left_out": {}}
    return Experiment(Path("x"), "x", "", "", wanted, plan, {}, runs, [])


def test_effect_sizes_by_hand():
    assert effects.mean_difference(X, Y) == pytest.approx(2.4)
    pooled = np.sqrt((5.7 + 1.3) / 2)
    assert effects.cohen_d(X, Y) == pytest.approx(2.4 / pooled)
    assert effects.hedges_g(X, Y) == pytest.approx(2.4 / pooled * (1 - 3 / 31))
    assert effects.cliffs_delta(X, Y) == pytest.approx(2 * stats.mannwhitneyu(X, Y).statistic / 25 - 1)


def test_an_effect_without_spread_is_unknown():
    assert np.isnan(effects.cohen_d(np.ones(4), np.zeros(4)))
    assert effects.cultures_needed(None, paired=True, alpha=0.05) is None


def test_holm_by_hand():
    assert effects.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert effects.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p):
    corrected = effects.holm(p)
    assert all(0 <= before <= after <= 1 for before, after in zip(p, corrected, strict=True))
    assert [corrected[k] for k in np.argsort(p, kind="stable")] == sorted(corrected)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 394), (0.5, 64), (0.8, 26)])
def test_cultures_needed_are_those_of_cohens_tables(effect, n):
    assert effects.cultures_needed(effect, paired=False, alpha=0.05) == n


def test_power_without_an_effect_is_alpha():
    assert effects.power(0.0, [5, 50], paired=True, alpha=0.05) == pytest.approx([0.05, 0.05])


def test_an_interval_holds_what_scipy_says():
    found = effects.estimate((X,), effects.mean, paired=False, resamples=500, rng=np.random.default_rng(1))
    asked = stats.bootstrap((X,), np.mean, n_resamples=500, rng=np.random.default_rng(1)).confidence_interval
    assert (found.value, found.low, found.high) == (pytest.approx(3.8), asked.low, asked.high)


def test_runs_of_one_culture_are_averaged_before_anything_else():
    experiment = made({"stimulus": [(1, 2)], "yoked": []})
    again = Run(**vars(experiment.runs[0]) | {"metrics": {"rally_length": {"early": 3.0, "late": None}}})
    third = Run(**vars(experiment.runs[0]) | {"metrics": {"rally_length": {"early": 3.0, "late": 8.0}}})
    found = changes([*experiment.runs, again, third], "rally_length")
    assert (found.cultures, found.early.tolist(), found.late.tolist(), found.runs) == (("culture-0",), [2], [5], 2)


def test_the_claim_is_the_permutation_test_of_scipy():
    rng = np.random.default_rng(3)
    values = {arm: [(a, a + b) for a, b in rng.normal(shift, 1, (9, 2))] for arm, shift in
              {"stimulus": 1.0, "yoked": 0.0, "silent": 0.0}.items()}  # fmt: skip
    found = compare(made(values, resamples=9999, arms={"conditions": ["stimulus", "yoked", "silent"]}))
    x, y = (np.array([late - early for early, late in values[arm]]) for arm in ("stimulus", "yoked"))
    exact = stats.permutation_test((x, y), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples")
    claim = next(each for each in found.contrasts if each.claim)
    assert (claim.against, claim.cultures, claim.paired) == ("yoked", 9, True)
    assert claim.interaction.p == claim.interaction.corrected_p == pytest.approx(exact.pvalue)
    late = ([late for _, late in values[arm]] for arm in ("stimulus", "yoked"))
    assert claim.late.p == pytest.approx(stats.wilcoxon(*late).pvalue)
    tests = [arm.within for arm in found.arms] + [each.late for each in found.contrasts]
    tests.append(found.contrasts[1].interaction)
    assert [test.corrected_p for test in tests] == pytest.approx(effects.holm([test.p for test in tests]))


def test_arms_of_different_cultures_are_not_paired():
    values = {"stimulus": {k: (0, k) for k in range(4)}, "yoked": {k: (0, k / 9) for k in range(9, 14)}}
    found = compare(made(values)).contrasts[0]
    assert (found.paired, found.cultures, found.interaction.n) == (False, 4, 9)
    late = stats.mannwhitneyu(range(4), [k / 9 for k in range(9, 14)])
    assert found.late.p == pytest.approx(late.pvalue)


def test_a_clear_difference_is_shown_and_its_opposite_is_not_praised():
    up, flat = [(0, 1 + k / 10) for k in range(8)], [(1, 1 + k / 100) for k in range(8)]
    assert compare(made({"stimulus": up, "yoked": flat})).verdict.startswith("Shown")
    assert compare(made({"stimulus": flat, "yoked": up})).verdict.startswith("The opposite")
    assert compare(made({"stimulus": flat, "yoked": flat})).verdict.startswith("Not shown")
    assert compare(made({"stimulus": up[:1], "yoked": flat[:1]})).verdict.startswith("No claim")


def test_the_same_runs_say_the_same():
    rng = np.random.default_rng(4)
    values = {arm: rng.normal(0, 1, (16, 2)).tolist() for arm in ("stimulus", "yoked")}
    one = made(values)
    other = Experiment(**vars(one) | {"runs": one.runs[::-1]})
    assert compare(one).to_dict() == compare(other).to_dict()


def test_what_did_not_complete_or_hardly_played_is_left_out():
    experiment = made({"stimulus": [(0, 1)] * 4, "yoked": [(0, 0)] * 4})
    experiment.runs[0] = Run(**vars(experiment.runs[0]) | {"ended": "tripped", "metrics": {}, "episodes": {}})
    experiment.runs[1] = Run(**vars(experiment.runs[1]) | {"episodes": {"early": 0, "late": 9}})
    found = compare(experiment)
    assert set(found.left_out_runs) == {"stimulus-0", "stimulus-1"}
    assert found.contrasts[0].cultures == 2


def test_false_positives_come_as_often_as_alpha_says():
    """Where no arm learns: the claim in 5 % of experiments, any corrected exploratory test in no more."""
    n, rng, claims, others = 50, np.random.default_rng(5), 0, 0
    for seed in range(n):
        culture = rng.exponential(1, (8, 1))
        values = {arm: (culture + rng.exponential(1, (8, 2))).tolist() for arm in ("stimulus", "yoked")}
        found = compare(made(values, seed=seed, resamples=99))
        claims += found.contrasts[0].interaction.p < 0.05
        tests = [*(arm.within for arm in found.arms), found.contrasts[0].late]
        others += min(test.corrected_p for test in tests) < 0.05
    low, high = stats.binom.ppf((0.005, 0.9995), n, 0.05)
    assert low <= claims <= high
    assert others <= high


def test_cultures_that_rose_and_fell_are_counted():
    (arm,) = compare(made({"stimulus": [(1, 2), (2, 2), (3, 1), (0, 4)]})).arms
    assert (arm.rose, arm.fell, arm.cultures) == (2, 1, 4)


def test_where_less_is_better_a_fall_is_what_is_shown():
    falls, stays = [(9, 1 + k / 10) for k in range(8)], [(9, 9 - k / 10) for k in range(8)]
    told = compare(falling(made({"stimulus": falls, "yoked": stays})))
    assert told.verdict.startswith("Shown at alpha 0.05: stimulus fell more than yoked")
    told = compare(falling(made({"stimulus": stays, "yoked": falls})))
    assert told.verdict.startswith("The opposite: stimulus fell less than yoked")


def falling(experiment):
    """Return the experiment with stimuli to the criterion in place of its metric."""
    runs = [replace(run, metrics={"stimuli_to_criterion": run.metrics["rally_length"]}) for run in experiment.runs]
    protocol = experiment.protocol.model_copy(update={"metrics": ("stimuli_to_criterion",)})
    return replace(experiment, runs=runs, protocol=protocol)
