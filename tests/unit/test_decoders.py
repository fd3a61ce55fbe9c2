"""Decoders for several actions: what moves them, what does not, and what they refuse."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from wetloop.coding.combined_decoder import CombinedConfig
from wetloop.coding.decoder_config import ActionRegionsConfig, PopulationVectorConfig, RegionRatioConfig
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import RigInfo, Signal, SpikeBatch
from wetloop.kernels.records import SPIKE
from wetloop.tasks.runner import TaskRunner

DECISION, SECOND = 250, 25_000


def context(*actions, regions=2, seed=1):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit="mV",
        limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    layout = LayoutConfig(regions=regions, motor="strips").apply(probe)
    return BuildContext(info, layout, StimGuard(info).prepare({}), DECISION, seed, actions)


def window(made, counts, index=0):
    """Return a decision's spikes: so many in each region, and one outside of all."""
    channels = [np.resize(np.flatnonzero(made.layout.regions == r), n) for r, n in enumerate(counts)]
    spikes = np.zeros(sum(counts) + 1, SPIKE)
    spikes["channel_index"] = np.concatenate([*channels, np.flatnonzero(made.layout.regions < 0)[:1]])
    return SpikeBatch(index * DECISION, (index + 1) * DECISION, spikes)


class Player:
    """A decoder, and the decisions that it has made."""

    def __init__(self, config, made):
        self.decoder, self.made, self.index = config.build(made), made, 0

    def __call__(self, *counts, held=False):
        self.index += 1
        return self.decoder.decode(window(self.made, counts, self.index), held=held)

    def settle(self, *counts, seconds=5, spread=1):
        rng = np.random.default_rng(5)
        for _ in range(seconds * 100):
            self(*(np.array(counts) + rng.integers(0, spread + 1, len(counts))))
        return self


# Population vector


def test_two_regions_pull_one_action_to_either_side():
    for active, sign in (((12, 3), 1), ((3, 12), -1)):
        play = Player(PopulationVectorConfig(), context("turn")).settle(3, 3)
        actions = [play(*active)[0] for _ in range(40)]
        assert actions[-1] == sign


def test_four_regions_point_round_a_circle():
    expected = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
    for region in range(4):
        play = Player(PopulationVectorConfig(gain=0.5), context("turn", "forward", regions=4)).settle(4, 4, 4, 4)
        for _ in range(30):
            action = play(*(14 if r == region else 4 for r in range(4)))
        assert np.dot(action, expected[region]) > 0.95
        assert abs(np.dot(action, expected[region - 1])) < 0.5


@pytest.mark.parametrize(("actions", "regions"), [(1, 2), (1, 3), (1, 5), (2, 3), (2, 4), (2, 6)])
def test_a_burst_of_all_regions_moves_nothing(actions, regions):
    play = Player(PopulationVectorConfig(), context(*"ab"[:actions], regions=regions))
    for k in range(300):
        burst = 20 if k % 60 > 50 else 2
        np.testing.assert_allclose(play(*[burst] * regions), 0, atol=1e-9)


def test_preferred_values_are_taken_as_given():
    made = context("turn", "forward", regions=3)
    play = Player(PopulationVectorConfig(preferred=((0, 1), (0.5, 0), (0, -1)), gain=0.1), made).settle(4, 4, 4)
    for _ in range(20):
        turn, forward = play(4, 20, 4)
    assert turn > 0.1
    assert abs(forward) < turn / 2


def test_scores_follow_slow_drifts_of_each_region():
    play = Player(PopulationVectorConfig(gain_s=5), context("turn")).settle(2, 9, seconds=10)
    drifted = [play(6, 9)[0] for _ in range(4000)]
    assert max(drifted[:100]) == 1
    assert abs(drifted[-1]) < 0.05


@pytest.mark.parametrize(
    ("config", "actions", "regions"),
    [
        (PopulationVectorConfig(), "abc", 4),
        (PopulationVectorConfig(), "ab", 2),
        (PopulationVectorConfig(), "a", 1),
        (PopulationVectorConfig(preferred=(1, -1, 0)), "a", 2),
        (PopulationVectorConfig(preferred=(1, -1)), "ab", 2),
        (ActionRegionsConfig(), "abc", 2),
        (ActionRegionsConfig(refractory_ms={"d": 100}), "abc", 3),
        (RegionRatioConfig(), "ab", 2),
    ],
)
def test_what_does_not_fit_the_task_is_refused_with_its_actions(config, actions, regions):
    with pytest.raises(ConfigError, match=rf"\({', '.join(actions)}\)"):
        config.build(context(*actions, regions=regions))


def test_region_ratio_needs_two_regions():
    with pytest.raises(ConfigError, match=r"set layout.regions to 2"):
        RegionRatioConfig().build(context("paddle", regions=1))


# One region per action


def test_scores_rank_the_regions_and_a_discrete_task_takes_the_largest():
    config = ActionRegionsConfig()
    runner = TaskRunner(gymnasium.make("CartPole-v1"), 1, scores=config.gives_scores())
    assert runner.n_actions == 2
    assert TaskRunner(gymnasium.make("CartPole-v1"), 1).n_actions == 1
    play = Player(config, context(*"abc", regions=3)).settle(4, 4, 4)
    for _ in range(20):
        scores = play(4, 15, 4)
    assert scores.argmax() == 1
    assert scores[1] > 1.5


def test_draws_follow_the_softmax_of_the_scores():
    made = context(*"abc", regions=3)
    drawing, scoring = Player(ActionRegionsConfig(temperature=1.5), made), Player(ActionRegionsConfig(), made)
    rng = np.random.default_rng(8)
    drawn, expected = np.zeros(3), np.zeros(3)
    for _ in range(6000):
        counts = rng.poisson((2, 2, 2))
        action, scores = drawing(*counts), scoring(*counts)
        assert sorted(action) == [0, 0, 1]
        weights = np.exp(scores / 1.5) / np.exp(scores / 1.5).sum()
        drawn += action * (scores > 0.5)
        expected += weights * (scores > 0.5)
    np.testing.assert_allclose(drawn, expected, rtol=0.12)


def test_draws_are_seeded():
    def drawn(seed):
        play = Player(ActionRegionsConfig(temperature=1), context(*"abc", regions=3, seed=seed))
        return [int(play(3, 3, 3).argmax()) for _ in range(100)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == {0, 1, 2}


@pytest.mark.parametrize("idle", [-1, 0])
def test_a_threshold_lets_any_number_of_actions_through(idle):
    config = ActionRegionsConfig(choose="threshold", threshold_sd=3, idle=idle)
    play = Player(config, context(*"abc", regions=3)).settle(4, 4, 4)
    assert play(4, 4, 4).tolist() == [idle] * 3
    for _ in range(20):
        action = play(20, 4, 20)
    assert action.tolist() == [1, idle, 1]


def test_an_action_rests_after_it_was_chosen():
    config = ActionRegionsConfig(choose="threshold", refractory_ms={"attack": 300})
    play = Player(config, context("attack", "jump")).settle(4, 4)
    actions = np.array([play(40, 40) for _ in range(90)])
    fired = np.flatnonzero(actions[:, 0] == 1)
    assert set(np.diff(fired)) == {30}
    assert actions[10:60, 1].all()


def test_a_resting_action_gives_way_to_the_next_best():
    for temperature in (0, 0.01):
        config = ActionRegionsConfig(refractory_ms=30, temperature=temperature)
        play = Player(config, context(*"abc", regions=3)).settle(4, 4, 4)
        chosen = [int(play(30, 10, 4).argmax()) for _ in range(60)]
        assert chosen.count(0) == chosen.count(1) == 20
        assert all(np.diff(np.flatnonzero(np.array(chosen) == name)).min() >= 3 for name in range(3))


def test_a_single_action_is_chosen_by_threshold():
    play = Player(ActionRegionsConfig(), context("attack", regions=1)).settle(4, spread=3)
    assert play(5).tolist() == [0]
    assert [play(20)[0] for _ in range(20)][-1] == 1


def test_a_new_decoder_takes_its_first_second_as_usual():
    play = Player(ActionRegionsConfig(choose="threshold"), context("attack", "jump"))
    rng = np.random.default_rng(1)
    assert not sum(play(*rng.poisson((5, 20))) for _ in range(100)).any()


# Combined

PARTS = [
    {"kind": "population-vector", "actions": ["turn"], "regions": [2, 0]},
    {"kind": "action-regions", "actions": ["attack"], "regions": [1], "refractory_ms": 300},
]


def combined(*parts, **more):
    return CombinedConfig.model_validate({"parts": parts, **more})


def test_parts_act_as_they_would_alone_in_the_task_s_order():
    made = context("attack", "strafe", "turn", regions=3)
    together = Player(combined(*PARTS, unused=["strafe"]), made)
    turning = PopulationVectorConfig().build(context("turn"))
    attacking = ActionRegionsConfig(refractory_ms=300).build(context("attack", regions=1))
    small, single = context("turn"), context("attack", regions=1)
    rng = np.random.default_rng(3)
    for k in range(1, 600):
        a, b, c = rng.poisson((3, 3, 3)) * (8 if k % 50 == 0 else 1)
        action = together(a, b, c)
        turn = turning.decode(window(small, (c, a), k), held=False)
        attack = attacking.decode(window(single, (b,), k), held=False)
        assert action.tolist() == [attack[0], 0, turn[0]]
    assert together(1, 1, 1, held=True).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("parts", "more"),
    [
        (PARTS, {}),
        (PARTS, {"unused": ["strafe", "jump"]}),
        (PARTS[:1], {"unused": ["strafe"]}),
        ([], {}),
    ],
)
def test_every_action_must_be_named_once(parts, more):
    with pytest.raises(ConfigError, match=r"3 actions \(attack, strafe, turn\)"):
        combined(*parts, **more).build(context("attack", "strafe", "turn", regions=3))
    with pytest.raises(ValidationError, match=r"turn is named more than once"):
        combined(*PARTS, unused=["turn"])


@pytest.mark.parametrize("regions", [[0, 3], [1, 1]])
def test_regions_that_the_layout_lacks_are_refused(regions):
    part = {"kind": "population-vector", "actions": ["turn"], "regions": regions}
    with pytest.raises(ConfigError, match=r"layout has regions 0 to 2"):
        combined(part).build(context("turn", regions=3))


def test_faults_in_parts_are_named_with_their_place():
    def refused(part):
        with pytest.raises(ConfigError) as refusal:
            parse_config(f"decoder:\n  kind: combined\n  parts:\n    - {part}\n", "x.yaml")
        return str(refusal.value)

    assert refused("{kind: region-ratio, actions: [a], smoothing: 3}") == (
        "x.yaml:4:42: decoder.parts.0.smoothing: unknown key; did you mean 'smoothing_ms'?"
    )
    assert "x.yaml:4:50: decoder.parts.0.gain_s: input should be greater" in refused(
        "{kind: region-ratio, actions: [a], gain_s: 0}"
    )
    assert "'region-ratio', 'population-vector', 'action-regions', 'linear'" in refused("{kind: x, actions: [a]}")


def test_parts_that_draw_draw_apart():
    part = {"kind": "action-regions", "temperature": 5}
    config = combined({**part, "actions": ["a", "b"]}, {**part, "actions": ["c", "d"]})
    play = Player(config, context(*"abcd", regions=2))
    drawn = np.array([play(2, 2) for _ in range(400)])
    assert 0.3 < (drawn[:, 0] == drawn[:, 2]).mean() < 0.7


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 3), min_size=1, max_size=60))
def test_every_decoder_stays_in_range_and_holds_still(played):
    made, line = context(*"abc", regions=3), [{"kind": "population-vector", "actions": [name]} for name in "abc"]
    for config in (combined(*line), ActionRegionsConfig(temperature=1), ActionRegionsConfig(choose="threshold")):
        play = Player(config, made)
        for counts in played:
            action = play(*counts)
            assert action.shape == (3,)
            assert (np.abs(action) <= 1).all()
            assert not play(*counts, held=True).any()
