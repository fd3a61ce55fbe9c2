"""Rules of plasticity that can be chosen for the simulated culture; cheap to import.

A rule is a plug-in of the group ``wetloop.plasticity``: a configuration whose ``build`` returns a compiled function and
its parameters. The function is handed a ``wetloop.kernels.plasticity.Dish``, which has the culture's own spikes and
synapses, the pulses that reached it, and nothing else: no rule can see task, score or feedback.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from wetloop.core.plugin import PlasticityConfig, Rule

if TYPE_CHECKING:
    from wetloop.core.plugin import DishFacts

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

LEAST_MV = 0.05
"""No synapse becomes weaker: one at nothing could not come back under a proportional rule."""


def left(tau_ms: float, after_ms: float = 1.0) -> float:
    """Return what is left of an exponential trace."""
    return math.exp(-after_ms / tau_ms)


class OffConfig(PlasticityConfig):
    """Synapses stay as they are."""

    kind: Literal["off"] = "off"

    def build(self, facts: DishFacts) -> None:
        _ = facts


class StdpConfig(PlasticityConfig):
    """Spike-timing dependent plasticity of excitatory synapses by pairs of spikes.

    Potentiation is additive, depression proportional to the weight, so that weights stay in bounds (Bi and Poo 1998;
    van Rossum, Bi and Turrigiano 2000).
    """

    kind: Literal["stdp"] = "stdp"
    rate: NotNegative = 0.002
    """Change by one pair at no delay, as a share of the mean weight."""
    before_tau_ms: Positive = 20.0
    """Decay of the effect of a spike of the source before one of the target, ms."""
    after_tau_ms: Positive = 20.0
    """Decay of the effect of a spike of the source after one of the target, ms."""
    balance: Positive = 1.05
    """Depression over potentiation at the mean weight; over 1, chance weakens synapses."""

    def build(self, facts: DishFacts) -> Rule:
        from wetloop.kernels.rules import stdp

        gains = self.rate * facts.weight_ee_mv, self.rate * facts.weight_ei_mv
        traces = left(self.before_tau_ms), left(self.after_tau_ms)
        return Rule(stdp, (facts.weight_max_mv, LEAST_MV, *traces, self.rate * self.balance, *gains))


class InhibitoryConfig(PlasticityConfig):
    """Inhibitory synapses on excitatory cells learn to hold these at a rate (Vogels et al. 2011)."""

    kind: Literal["inhibitory"] = "inhibitory"
    rate_mv: NotNegative = 0.01
    """Change by one pair of spikes, mV."""
    tau_ms: Positive = 20.0
    """Decay of the effect of a spike, ms."""
    target_hz: Positive = 0.5
    """Rate at which excitatory cells are held, Hz."""

    def build(self, facts: DishFacts) -> Rule:
        from wetloop.kernels.rules import inhibitory

        offset = 2 * self.target_hz * self.tau_ms / 1000
        trace = left(self.tau_ms)
        return Rule(inhibitory, (facts.weight_max_mv, LEAST_MV, trace, trace, self.rate_mv, offset))


class HomeostaticConfig(PlasticityConfig):
    """Excitatory synapses on a cell are scaled together towards a rate (Turrigiano et al. 1998)."""

    kind: Literal["homeostatic"] = "homeostatic"
    target_hz: Positive = 0.5
    """Rate of excitatory cells, Hz."""
    memory_s: Positive = 60.0
    """Time over which a cell's rate is measured, s."""
    step_s: Annotated[float, Field(ge=0.001)] = 1.0
    """Time between two scalings, s."""
    strength: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Share by which a cell that is silent strengthens its synapses in one step."""

    def build(self, facts: DishFacts) -> Rule:
        from wetloop.kernels.rules import homeostatic

        trace, steps = left(1000 * self.memory_s), (round(1000 * self.step_s), self.strength)
        numbers = (facts.weight_max_mv, LEAST_MV, trace, trace, 1 / self.memory_s, self.target_hz, *steps)
        return Rule(homeostatic, numbers)


class BcmConfig(PlasticityConfig):
    """Synapses grow where a cell fires above its sliding threshold and shrink below (Bienenstock et al. 1982)."""

    kind: Literal["bcm"] = "bcm"
    rate_mv: NotNegative = 0.0005
    """Change by one spike of a target that is 1 Hz over its threshold, just after one of the source, mV."""
    tau_ms: Positive = 20.0
    """Decay of the effect of a spike of the source, ms."""
    rate_memory_s: Positive = 1.0
    """Time over which a cell's rate is measured, s."""
    threshold_memory_s: Positive = 30.0
    """Time over which the threshold follows the square of the rate, s."""
    target_hz: Positive = 0.5
    """Rate at which the threshold equals the rate, Hz."""

    def build(self, facts: DishFacts) -> Rule:
        from wetloop.kernels.rules import bcm

        slow = 1 - left(1000 * self.threshold_memory_s)
        traces = left(self.tau_ms), left(1000 * self.rate_memory_s)
        rates = 1 / self.rate_memory_s, self.target_hz, slow, self.rate_mv
        return Rule(bcm, (facts.weight_max_mv, LEAST_MV, *traces, *rates))


class TaggedConfig(PlasticityConfig):
    """What rules with tags share; by itself it is not a kind of rule."""

    eta: NotNegative = 4.0
    """Weight change by a tag of 1 when the factor is 1, mV."""
    pair_tau_ms: Positive = 20.0
    """Decay of the effect of a spike of the source before one of the target, ms."""
    tag_tau_ms: Positive = 1000.0
    """Decay of tags, ms."""
    rate_memory_s: Positive = 30.0
    """Time over which the rate that chance is computed from is measured, s."""
    large_share: Annotated[float, Field(gt=0, le=1)] = 0.12
    """A volley is large over this share of all cells in 1 ms."""
    small_share: Annotated[float, Field(gt=0, le=1)] = 0.045
    """A volley is small over this share of all cells in 1 ms."""
    calm_share: Annotated[float, Field(gt=0, le=1)] = 0.04
    """A small volley counts only if fewer cells fired just before (trace of 10 ms)."""
    burst_share: Annotated[float, Field(gt=0, le=1)] = 0.06
    """Recent spikes (trace of 10 ms), as a share of the cells, at which tags are halved."""

    def numbers(self, facts: DishFacts) -> tuple[float, ...]:
        """Return the rule's parameters in the kernel's order."""
        from wetloop.kernels.rules import TAG_STEP_MS

        shares = self.large_share, self.small_share, self.calm_share
        return (
            facts.weight_max_mv, LEAST_MV, left(self.pair_tau_ms), left(1000 * self.rate_memory_s), self.eta,
            self.pair_tau_ms, 1 / (1000 * self.rate_memory_s), left(self.tag_tau_ms, TAG_STEP_MS),
            *(facts.n_cells * share for share in shares), left(30.0), facts.n_cells * self.burst_share,
        )  # fmt: skip


class ThreeFactorConfig(TaggedConfig):
    """Hebbian tags that a third factor turns into weights: one read from volleys of the culture's own spikes.

    A tag is pre-before-post coincidences minus the number expected by chance; tags of bursts count little. The factor
    is 1 when several large volleys come in quick succession, as a predictable train on all sensory electrodes makes
    them, and -1 when a smaller one comes out of calm, as a strong pulse on one electrode does. That volleys act like a
    neuromodulator is a hypothesis made to test the server with; biology has not shown it. The sizes of volleys were set
    to fit two patterns of feedback: pulses must fire so many cells, whatever the array.
    """

    kind: Literal["three-factor"] = "three-factor"

    def build(self, facts: DishFacts) -> Rule:
        from wetloop.kernels.rules import three_factor

        return Rule(three_factor, self.numbers(facts))


class OracleConfig(TaggedConfig):
    """The three-factor rule, told by the name of each feedback pulse what was earned: an upper bound.

    No culture knows this. It is the one hole in the walls of the loop, made in ``SimulatedCulture.prepare``; a rig with
    this rule says so in its name, which stands in every summary and recording. Never evidence of learning.
    """

    kind: Literal["oracle"] = "oracle"

    def build(self, facts: DishFacts) -> Rule:
        from wetloop.kernels.rules import oracle

        return Rule(oracle, self.numbers(facts))
