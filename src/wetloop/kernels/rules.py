"""The rules of plasticity that come with Wetloop. Each sees a ``Dish``, once per millisecond, and nothing else.

Synapses from excitatory cells are plastic on excitatory and on inhibitory targets, those from inhibitory cells only
where a rule says so. Spikes of the same millisecond are no pair: traces grow after weights and tags have used them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.jit import inner
from wetloop.kernels.plasticity import TOLD

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.kernels.plasticity import Dish

    Floats = npt.NDArray[np.float32]

WEIGHT_MAX, LEAST_WEIGHT, EXCITATORY_DECAY, ANY_DECAY = range(4)
"""Parameters of all rules: bounds of a weight, mV; what is left after 1 ms of the traces in rows TRACE and OTHER."""
TRACE, OTHER, SLOW = range(3)
"""Rows of ``Dish.cells``."""
TAG_STEP_MS = 50
"""Tags fade in steps of this length: fading 80,000 of them each ms would cost more than the cells."""


@inner
def decay(row: Floats, factor: float) -> None:
    """Multiply a row by what is left of it."""
    left = np.float32(factor)
    for i in range(row.size):
        row[i] *= left


@inner
def bounded(d: Dish, weight: float) -> float:
    """Return the weight within its bounds."""
    return float(min(max(weight, d.parameters[LEAST_WEIGHT]), d.parameters[WEIGHT_MAX]))


@inner
def count_spikes(d: Dish) -> None:
    """Let both traces of the cells that fired grow by 1."""
    for f in range(d.fired.size):
        d.cells[TRACE, d.fired[f]] += np.float32(1.0)
        d.cells[OTHER, d.fired[f]] += np.float32(1.0)


@inner
def stdp(d: Dish) -> None:
    """Pair rule with additive potentiation and proportional depression (van Rossum, Bi, Turrigiano 2000)."""
    p, n_out = d.parameters, d.target.shape[1]
    decay(d.cells[TRACE], p[EXCITATORY_DECAY])
    decay(d.cells[OTHER], p[ANY_DECAY])
    depression = p[4]
    weight = d.weight_mv.reshape(-1)
    for f in range(d.fired.size):
        i = d.fired[f]
        if i < d.n_excitatory:
            for q in range(n_out):
                d.weight_mv[i, q] = bounded(d, d.weight_mv[i, q] * (1.0 - depression * d.cells[OTHER, d.target[i, q]]))
        gain = p[5] if i < d.n_excitatory else p[6]
        for r in range(d.first_in[i], d.first_in[i + 1]):
            k = d.incoming[r]
            if k // n_out >= d.n_excitatory:
                break
            weight[k] = bounded(d, weight[k] + gain * d.cells[TRACE, k // n_out])
    count_spikes(d)


@inner
def inhibitory(d: Dish) -> None:
    """Inhibitory plasticity that holds excitatory cells at a rate (Vogels et al., Science 334, 1569, 2011)."""
    p, n_out = d.parameters, d.target.shape[1]
    decay(d.cells[TRACE], p[EXCITATORY_DECAY])
    rate_mv, offset = p[4], p[5]
    weight = d.weight_mv.reshape(-1)
    for f in range(d.fired.size):
        i = d.fired[f]
        if i >= d.n_excitatory:
            for q in range(n_out):
                if d.target[i, q] < d.n_excitatory:
                    change = rate_mv * (d.cells[TRACE, d.target[i, q]] - offset)
                    d.weight_mv[i, q] = bounded(d, d.weight_mv[i, q] + change)
        else:
            for r in range(d.first_in[i + 1] - 1, d.first_in[i] - 1, -1):
                k = d.incoming[r]
                if k // n_out < d.n_excitatory:
                    break
                weight[k] = bounded(d, weight[k] + rate_mv * d.cells[TRACE, k // n_out])
    count_spikes(d)


@inner
def homeostatic(d: Dish) -> None:
    """Multiplicative synaptic scaling towards a rate (Turrigiano et al. 1998; van Rossum et al. 2000)."""
    p, n_out = d.parameters, d.target.shape[1]
    decay(d.cells[TRACE], p[EXCITATORY_DECAY])
    per_spike_hz, target_hz, step_ms, strength = p[4], p[5], p[6], p[7]
    for f in range(d.fired.size):
        d.cells[TRACE, d.fired[f]] += np.float32(per_spike_hz)
    if d.now_ms % int(step_ms) != 0 or d.now_ms == 0:
        return
    weight = d.weight_mv.reshape(-1)
    for i in range(d.n_excitatory):
        error = min(max(1.0 - d.cells[TRACE, i] / target_hz, -1.0), 1.0)
        for r in range(d.first_in[i], d.first_in[i + 1]):
            k = d.incoming[r]
            if k // n_out >= d.n_excitatory:
                break
            weight[k] = bounded(d, weight[k] * (1.0 + strength * error))


@inner
def bcm(d: Dish) -> None:
    """Rate rule with a threshold that slides as the square of the rate (Bienenstock, Cooper, Munro 1982).

    Spikes of a cell sample its rate y: at each, synapses change by x (y - threshold), with x the trace of the source.
    """
    p, n_out = d.parameters, d.target.shape[1]
    decay(d.cells[TRACE], p[EXCITATORY_DECAY])
    decay(d.cells[OTHER], p[ANY_DECAY])
    per_spike_hz, target_hz, slow, rate_mv = p[4], p[5], np.float32(p[6]), p[7]
    weight = d.weight_mv.reshape(-1)
    for i in range(d.n_excitatory):
        y = d.cells[OTHER, i]
        d.cells[SLOW, i] += slow * (y * y / np.float32(target_hz) - d.cells[SLOW, i])
    for f in range(d.fired.size):
        i = d.fired[f]
        if i < d.n_excitatory:
            above = rate_mv * (d.cells[OTHER, i] - d.cells[SLOW, i])
            for r in range(d.first_in[i], d.first_in[i + 1]):
                k = d.incoming[r]
                if k // n_out >= d.n_excitatory:
                    break
                weight[k] = bounded(d, weight[k] + above * d.cells[TRACE, k // n_out])
    for f in range(d.fired.size):
        d.cells[TRACE, d.fired[f]] += np.float32(1.0)
        d.cells[OTHER, d.fired[f]] += np.float32(per_spike_hz)


TRAIN, LARGE_MS, SMALL_MS, GOOD_MS, RECENT, N_GOOD, N_BAD = range(7)
"""Memory of the three-factor rules: recent large volleys; last times; recent spikes; releases so far."""
ETA, PAIRS_MS, PER_SPIKE, TAG_LEFT, LARGE, SMALL, CALM, TRAIN_LEFT, HALVED = range(4, 13)
"""Their parameters from place 4 on."""
NONE = 0.0
WAIT_MS, APART_MS, RUN_MS = 1000, 3000, 200
"""Least time between releases; between small volleys that are not one barrage; after a large volley a small one says
nothing."""
TRAIN_VOLLEYS = 2.0


@inner
def three_factor(d: Dish) -> None:
    """Covariance tags, released by volleys of the culture's own spikes."""
    factor = volley_factor(d)
    if factor != NONE:
        release(d, factor)
    tag_synapses(d)


@inner
def oracle(d: Dish) -> None:
    """Covariance tags, released by outcomes that the rule is told: an upper bound, never a model of a culture."""
    m, told = d.memory, d.memory[TOLD]
    m[TOLD] = 0.0
    if told > 0.0:
        if d.now_ms - m[LARGE_MS] > RUN_MS:
            release(d, 1.0)
        m[LARGE_MS] = d.now_ms
    elif told < 0.0:
        if d.now_ms - m[SMALL_MS] > WAIT_MS:
            release(d, -1.0)
        m[SMALL_MS] = d.now_ms
    tag_synapses(d)


@inner
def volley_factor(d: Dish) -> float:
    """Return 1 at the third large volley of a quick train, -1 at a small one out of calm, else NONE."""
    p, m, n = d.parameters, d.memory, d.fired.size
    m[TRAIN] *= p[TRAIN_LEFT]
    factor = NONE
    if n > p[LARGE]:
        m[TRAIN] += 1.0
        m[LARGE_MS] = d.now_ms
        if m[TRAIN] > TRAIN_VOLLEYS and d.now_ms - m[GOOD_MS] > WAIT_MS:
            m[GOOD_MS] = d.now_ms
            factor = 1.0
    elif n > p[SMALL] and m[RECENT] < p[CALM] and d.now_ms - m[LARGE_MS] > RUN_MS:
        if d.now_ms - m[SMALL_MS] > APART_MS:
            factor = -1.0
        m[SMALL_MS] = d.now_ms
    return factor


@inner
def release(d: Dish, factor: float) -> None:
    """Turn tags into weights in proportion to the factor, and clear them.

    What a cell sends to excitatory and to inhibitory targets is kept in sum: its targets compete.
    """
    p, m = d.parameters, d.memory
    m[N_GOOD if factor > 0.0 else N_BAD] += 1.0
    eta = np.float32(p[ETA] * factor)
    least, most = np.float32(p[LEAST_WEIGHT]), np.float32(p[WEIGHT_MAX])
    for i in range(d.n_excitatory):
        before_e, after_e, before_i, after_i = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for q in range(d.target.shape[1]):
            old = d.weight_mv[i, q]
            new = min(max(old + eta * d.tags[i, q], least), most)
            d.weight_mv[i, q] = new
            d.tags[i, q] = 0
            if d.target[i, q] < d.n_excitatory:
                before_e += old
                after_e += new
            else:
                before_i += old
                after_i += new
        to_e, to_i = before_e / max(after_e, least), before_i / max(after_i, least)
        for q in range(d.target.shape[1]):
            d.weight_mv[i, q] *= to_e if d.target[i, q] < d.n_excitatory else to_i


@inner
def tag_synapses(d: Dish) -> None:
    """Tag pre-before-post pairs minus those expected by chance; bursts, which carry no credit, write little."""
    p, m, n_out = d.parameters, d.memory, d.target.shape[1]
    m[RECENT] = m[RECENT] * 0.9 + d.fired.size
    share = m[RECENT] / p[HALVED]
    open_to = np.float32(1.0 / (1.0 + share * share * share * share))
    decay(d.cells[TRACE], p[EXCITATORY_DECAY])
    decay(d.cells[OTHER], p[ANY_DECAY])
    tags, chance = d.tags.reshape(-1), open_to * np.float32(p[PAIRS_MS])
    for f in range(d.fired.size):
        i = d.fired[f]
        d.cells[OTHER, i] += open_to * np.float32(p[PER_SPIKE])
        if i < d.n_excitatory:
            for q in range(n_out):
                d.tags[i, q] -= chance * d.cells[OTHER, d.target[i, q]]
        for r in range(d.first_in[i], d.first_in[i + 1]):
            k = d.incoming[r]
            if k // n_out >= d.n_excitatory:
                break
            tags[k] += open_to * d.cells[TRACE, k // n_out]
    for f in range(d.fired.size):
        d.cells[TRACE, d.fired[f]] += np.float32(1.0)
    if d.now_ms % TAG_STEP_MS == 0:
        decay(tags, p[TAG_LEFT])
