"""Rules of plasticity: what each does to weights, and that none can see more than a dish shows."""

from functools import cache

import numpy as np
import pytest
from numba import njit
from pydantic import ValidationError

from wetloop.core.errors import ConfigError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.plugin import DishFacts, PlasticityConfig, Rule
from wetloop.culture.config import CultureConfig, NetworkConfig
from wetloop.culture.plasticity_config import (
    BcmConfig,
    HomeostaticConfig,
    InhibitoryConfig,
    OffConfig,
    OracleConfig,
    StdpConfig,
    ThreeFactorConfig,
)
from wetloop.kernels import rules
from wetloop.kernels.plasticity import TOLD, Dish

FACTS = DishFacts(1000, 10.0, 10.0, 50.0)
SILENT = NetworkConfig(mini_rate_hz=0, bias_mv=-5, bias_spread_mv=0, drift_mv=0)
ALL = (StdpConfig, InhibitoryConfig, HomeostaticConfig, BcmConfig, ThreeFactorConfig, OracleConfig)


def dish(rule, n=4, n_excitatory=2):
    """Return four cells, each with synapses on all, cells 0 and 1 excitatory, and the parameters of a rule."""
    target = np.tile(np.arange(n, dtype=np.int32), (n, 1))
    incoming = np.arange(n * n, dtype=np.int32).reshape(n, n).T.ravel().copy()
    parameters = np.zeros(32)
    parameters[: len(rule.parameters)] = rule.parameters
    return Dish(
        0, n_excitatory, np.zeros(0, np.int32), np.zeros((0, 2), np.float32), target,
        np.full((n, n), 10, np.float32), np.arange(0, n * n + 1, n, dtype=np.int32), incoming,
        np.zeros((4, n), np.float32), np.zeros((n, n), np.float32), np.zeros(32), parameters,
    )  # fmt: skip


@cache
def callable_from_python(step):
    """Return a rule that Python can call; those of the package can only be called by compiled code."""
    return njit(step.py_func)


def lived(rule, spikes, until_ms, told=None):
    """Return the dish after the rule saw these spikes, (ms, cell)."""
    d = dish(rule)
    step = callable_from_python(rule.step)
    for ms in range(until_ms):
        fired = np.array([cell for at, cell in spikes if at == ms], np.int32)
        if told and ms in told:
            d.memory[TOLD] = told[ms]
        step(d._replace(now_ms=ms, fired=fired))
    return d


def test_stdp_strengthens_what_fires_before_and_weakens_what_fires_after():
    weight = lived(StdpConfig(rate=0.01).build(FACTS), [(5, 0), (10, 1)], 20).weight_mv
    assert weight[0, 1] == pytest.approx(10 + 0.1 * np.exp(-5 / 20), rel=1e-5)
    weight = lived(StdpConfig(rate=0.01).build(FACTS), [(5, 1), (10, 0)], 20).weight_mv
    assert weight[0, 1] == pytest.approx(10 * (1 - 0.0105 * np.exp(-5 / 20)), rel=1e-5)


def test_stdp_leaves_inhibitory_synapses_alone():
    weight = lived(StdpConfig(rate=0.5).build(FACTS), [(5, 2), (6, 0), (7, 3), (8, 1)], 20).weight_mv
    assert (weight[2:] == 10).all()
    assert (weight[:2] != 10).any()


def test_inhibitory_rule_strengthens_with_coincidence_and_weakens_without():
    rule = InhibitoryConfig(rate_mv=1.0, tau_ms=20, target_hz=5).build(FACTS)
    alone = lived(rule, [(5, 2)], 10).weight_mv
    assert alone[2, 0] == pytest.approx(10 - 2 * 5 * 0.02, rel=1e-5)
    both = lived(rule, [(5, 2), (6, 0)], 10).weight_mv
    assert both[2, 0] == pytest.approx(10 - 0.2 + np.exp(-1 / 20), rel=1e-5)
    assert (both[:2] == 10).all()
    assert both[2, 3] == 10


def test_scaling_lifts_all_excitatory_synapses_of_a_silent_cell_alike():
    rule = HomeostaticConfig(target_hz=1, memory_s=1, step_s=0.01, strength=0.1).build(FACTS)
    weight = lived(rule, [], 11).weight_mv
    assert weight[:2, :2] == pytest.approx(np.full((2, 2), 11), rel=1e-5)
    assert (weight[2:] == 10).all()
    busy = lived(rule, [(k, 0) for k in range(10)], 11).weight_mv
    assert busy[1, 0] < 10 < busy[1, 1]


def test_bcm_threshold_slides():
    rule = BcmConfig(rate_mv=1.0, rate_memory_s=0.1, threshold_memory_s=0.2, target_hz=5).build(FACTS)
    rare = lived(rule, [(95, 0), (100, 1), (105, 1)], 110).weight_mv[0, 1]
    tiring = [(k, 1) for k in range(0, 2000, 5)]
    late = lived(rule, [*tiring, (1999, 0), (2001, 1)], 2005).weight_mv[0, 1]
    assert rare > 10
    assert late < 10


def test_tags_are_coincidences_minus_chance_and_fade():
    rule = ThreeFactorConfig().build(FACTS)
    d = lived(rule, [(5, 0), (10, 1)], 11)
    assert d.tags[0, 1] > 0.5
    assert d.tags[1, 0] < 0
    assert (d.weight_mv == 10).all()
    assert lived(rule, [(5, 0), (10, 1)], 2010).tags[0, 1] == pytest.approx(d.tags[0, 1] * np.exp(-2), rel=0.05)


@pytest.mark.parametrize(("told", "sign"), [(1.0, 1), (-1.0, -1)])
def test_outcomes_that_the_oracle_is_told_turn_tags_into_weights(told, sign):
    d = lived(OracleConfig().build(FACTS), [(1205, 0), (1210, 1)], 1230, {1220: told})
    assert sign * (d.weight_mv[0, 1] - 10) > 0.1
    assert d.weight_mv[0, :2].sum() == pytest.approx(20, rel=1e-5)
    assert abs(d.tags).max() < 0.1


def test_large_volleys_in_a_train_release_once():
    rule = ThreeFactorConfig(large_share=0.001).build(FACTS)
    train = [(ms, cell) for ms in range(1500, 1600, 10) for cell in range(4)]
    d = lived(rule, train, 1700)
    assert d.memory[rules.N_GOOD] == 1
    assert d.memory[rules.N_BAD] == 0


@pytest.mark.parametrize("rule", ALL)
def test_a_culture_with_a_rule_is_the_same_twice_in_packets_of_any_size(rule):
    def played(packet_samples):
        config = CultureConfig(plasticity=rule(), cells=200, settle_s=1, packet_samples=packet_samples)
        culture = config.build(4)
        culture.open()
        patterns = {"predictable": Pattern(Pulse.balanced(150, 200, "mV"), (9, 27))}
        culture.prepare(StimGuard(culture.info).prepare(patterns))
        culture.trigger(0, 3000)
        spikes = [culture.read().spikes for _ in range(25_000 // packet_samples)]
        return np.concatenate(spikes).tobytes(), culture.state.network.weight_mv.tobytes()

    assert played(25) == played(25) == played(125)


def test_weights_stay_as_they_are_without_a_rule():
    culture = CultureConfig(cells=200, settle_s=0, packet_ms=1000).build(4)
    before = culture.state.network.weight_mv.copy()
    culture.open()
    culture.read()
    assert (culture.state.network.weight_mv == before).all()
    assert culture.state.plasticity.tags.size == 0


def test_synapses_stay_while_the_culture_settles():
    culture = CultureConfig(cells=200, settle_s=2, plasticity=StdpConfig(rate=0.1)).build(4)
    before = culture.state.network.weight_mv.copy()
    culture.open()
    assert (culture.state.network.weight_mv == before).all()


def test_a_dish_shows_nothing_of_the_task():
    assert Dish._fields == (
        "now_ms", "n_excitatory", "fired", "pulses", "target", "weight_mv", "first_in", "incoming", "cells", "tags",
        "memory", "parameters",
    )  # fmt: skip


@pytest.mark.parametrize("rule", [ThreeFactorConfig(), StdpConfig(), OffConfig()])
def test_only_the_oracle_is_told(rule):
    patterns = {"predictable": Pattern(Pulse.balanced(75, 200, "mV"), (9,))}
    told = []
    for choice in (rule, OracleConfig()):
        culture = CultureConfig(cells=100, network=SILENT.model_copy(update={"synapses_per_cell": 10}), settle_s=0,
                                plasticity=choice).build(1)  # fmt: skip
        culture.open()
        culture.prepare(StimGuard(culture.info).prepare(patterns))
        told.append(culture.state.plasticity.told.tolist())
    assert told == [[], [1.0]]


def test_a_rig_with_an_oracle_says_so():
    assert "oracle" in CultureConfig(plasticity=OracleConfig(), cells=100, settle_s=0).build(1).info.name
    assert CultureConfig(cells=100, settle_s=0).build(1).info.name == "culture"


@njit
def count_pulses(d):
    """Keep the number of pulses and the strength of the last, as a rule of somebody else's would."""
    for k in range(d.pulses.shape[0]):
        d.memory[0] += 1
        d.memory[1] = d.pulses[k, 0]
        d.memory[2] = d.pulses[k, 1]


class CountPulses(PlasticityConfig):
    kind: str = "count-pulses"

    def build(self, facts):
        return Rule(count_pulses, (facts.n_cells,))


def test_a_plug_in_sees_the_pulses_that_reach_the_culture():
    culture = CultureConfig(plasticity=CountPulses(), cells=200, settle_s=0, packet_ms=100).build(1)
    culture.open()
    patterns = {"x": Pattern(Pulse.balanced(150, 200, "mV"), (9, 27, 45))}
    culture.prepare(StimGuard(culture.info).prepare(patterns))
    culture.trigger(0, 500)
    culture.trigger(0, 1500)
    culture.read()
    assert culture.state.plasticity.memory[:3].tolist() == [2, 3, 150]


def test_a_rule_that_does_not_compile_is_refused():
    class Broken(PlasticityConfig):
        kind: str = "broken"

        def build(self, facts):
            _ = facts
            return Rule(njit(lambda d: d.score))

    with pytest.raises(ConfigError, match="does not compile"):
        CultureConfig(plasticity=Broken(), cells=100, settle_s=0).build(1).open()


@pytest.mark.parametrize(
    ("given", "message"),
    [({"rate": 1}, "a mapping with a kind"), ("stdp", "where a configuration is loaded"), (3, "a mapping with a kind")],
)
def test_config_of_plasticity_refuses(given, message):
    with pytest.raises(ValidationError, match=message):
        CultureConfig(plasticity=given)


@pytest.mark.parametrize("off", ["off", False, {"kind": "off"}])
def test_off_may_be_written_as_yaml_reads_it(off):
    assert CultureConfig(plasticity=off).plasticity == OffConfig()
