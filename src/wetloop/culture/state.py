"""Puts all arrays of a culture together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.core.plugin import DishFacts
from wetloop.culture.network import build_carry, build_electrodes, build_network
from wetloop.culture.plasticity_state import build_plasticity
from wetloop.kernels.culture import CultureState

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wetloop.culture.config import CultureConfig
    from wetloop.culture.network import Cells

    Floats = npt.NDArray[np.float64]


def dish_facts(config: CultureConfig) -> DishFacts:
    """Return what a rule of plasticity may know of a culture."""
    network = config.network
    return DishFacts(config.cells, network.weight_ee_mv, network.weight_ei_mv, network.weight_max_mv)


def build_state(
    config: CultureConfig,
    cells: Cells,
    electrodes_um: Floats,
    rng: np.random.Generator,
    noise: np.random.Generator,
) -> CultureState:
    """Return all arrays of the culture; ``rng`` decides cells and wiring, ``noise`` what changes by the day."""
    network = build_network(config, cells, rng, noise)
    return CultureState(
        network,
        build_electrodes(config, cells, electrodes_um, rng, noise),
        build_carry(config, len(electrodes_um)),
        build_plasticity(config.plasticity.build(dish_facts(config)), cells, network),
    )


def nbytes(state: CultureState) -> int:
    """Return the memory that a culture takes, bytes."""
    return sum(int(array.nbytes) for part in state for array in part)
