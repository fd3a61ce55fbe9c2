"""Where a rig's electrodes are: acquisition systems number their channels, but do not know the array before them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from wetloop.core.layout import grid_probe, positions_um, probe_at

if TYPE_CHECKING:
    from typing import Any

    from probeinterface import Probe

Um = Annotated[float, Field(allow_inf_nan=False)]


class ArrayConfig(BaseModel):
    """An electrode array: a rectangular grid, row by row from the upper edge, or the position of each electrode."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    columns: int = Field(8, ge=1)
    """Electrodes along x."""
    rows: int = Field(8, ge=1)
    """Electrodes along y."""
    pitch_um: float = Field(200.0, gt=0, allow_inf_nan=False)
    """Distance between neighbours, um."""
    diameter_um: float = Field(30.0, gt=0, allow_inf_nan=False)
    """Diameter of an electrode, um."""
    positions_um: tuple[tuple[Um, Um], ...] | None = Field(None, min_length=1)
    """Position (x, y) of each electrode, um, in place of the grid."""

    @property
    def n_electrodes(self) -> int:
        """Number of electrodes."""
        return self.columns * self.rows if self.positions_um is None else len(self.positions_um)

    @property
    def area_um2(self) -> float:
        """Geometric area of an electrode, um2."""
        return math.pi * (self.diameter_um / 2) ** 2

    def probe(self) -> Probe:
        """Return the probe, one channel for each electrode."""
        if self.positions_um is None:
            return grid_probe(self.columns, self.rows, self.pitch_um, self.diameter_um)
        return probe_at(np.array(self.positions_um), self.diameter_um)


def array_of(probe: Probe) -> dict[str, Any]:
    """Return the settings of an array with electrodes where this probe has them; none where it is the usual grid."""
    where = positions_um(probe)
    usual = positions_um(ArrayConfig().probe())
    return {} if np.array_equal(where, usual) else {"positions_um": where.tolist()}
