"""The arrays of a rule of plasticity: what it sees of a culture, and what it remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.plasticity import CELL_ROWS, MEMORY, PARAMETERS, PULSES, Plasticity

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.core.plugin import Rule
    from wetloop.culture.network import Cells
    from wetloop.kernels.network import Network

    Integers = npt.NDArray[np.int32]


def build_plasticity(rule: Rule | None, cells: Cells, network: Network) -> Plasticity:
    """Return the arrays of a culture's rule, which is not connected yet; empty ones where plasticity is off."""
    if rule is None:
        return _empty()
    n, n_out = network.weight_mv.shape
    target = (network.landing % n).astype(np.int32)
    first_in, incoming = _incoming(target, cells.slot)
    parameters = np.zeros(PARAMETERS)
    parameters[: len(rule.parameters)] = rule.parameters
    sizes = np.array([n, n_out, cells.n_excitatory_slots, 0, 0, 0, len(incoming)], np.int64)
    return _empty()._replace(
        sizes=sizes,
        pulses=np.zeros((PULSES, 2), np.float32),
        target=target,
        first_in=first_in,
        incoming=incoming,
        cells=np.zeros((CELL_ROWS, n), np.float32),
        tags=np.zeros((n, n_out), np.float32),
        memory=np.zeros(MEMORY),
        parameters=parameters,
    )


def _empty() -> Plasticity:
    return Plasticity(
        link=np.zeros(1, np.int64),
        sizes=np.zeros(7, np.int64),
        reach=np.zeros((1, 2), np.float32),
        told=np.zeros(0, np.float32),
        pulses=np.zeros((0, 2), np.float32),
        target=np.zeros((0, 0), np.int32),
        first_in=np.zeros(0, np.int32),
        incoming=np.zeros(0, np.int32),
        cells=np.zeros((0, 0), np.float32),
        tags=np.zeros((0, 0), np.float32),
        memory=np.zeros(0),
        parameters=np.zeros(0),
    )


def _incoming(target: Integers, slot: npt.NDArray[np.int64]) -> tuple[Integers, Integers]:
    """Return the synapses on each cell, by source; padding has none."""
    n, n_out = target.shape
    synapse = (slot[:, None] * n_out + np.arange(n_out)).ravel()
    on = target.ravel()[synapse]
    order = np.argsort(on, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(on, minlength=n))])
    return first.astype(np.int32), synapse[order].astype(np.int32)
