"""Which electrodes show the task to the culture and which are read for the action.

Following DishBrain's final layout, the two motor regions interleave finely, so that a burst on one side of the dish
cannot play the game (Kagan et al., Neuron 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy.typing as npt
    from probeinterface import Probe


SAMPLED = 256
"""Electrodes whose neighbours tell the pitch: all pairs of a high-density array would take gigabytes."""


@dataclass(frozen=True)
class Layout:
    """Roles of the channels.

    Attributes
    ----------
    sensory
        Channels that carry the place code, in the order of the places.
    regions
        Motor region of each channel, -1 for none, shape (n_channels,).
    n_regions
        Number of motor regions.
    """

    sensory: tuple[int, ...]
    regions: npt.NDArray[np.int64]
    n_regions: int


class LayoutConfig(BaseModel):
    """How roles are given to the electrodes of any probe."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    sensory_electrodes: int = Field(8, ge=1)
    """Electrodes of the place code, spread along the upper edge of the array (DishBrain: 8)."""
    motor: Literal["checkerboard", "halves"] = "checkerboard"
    """Motor regions: interleaved like a checkerboard, or left and right half."""
    block_um: float | None = Field(None, gt=0)
    """Edge of a checkerboard field, um; by default, and at least, the electrode pitch."""
    guard_um: float | None = Field(None, ge=0)
    """Least distance in y between sensory and motor electrodes, um; by default 1.5 pitches."""
    flip: bool = False
    """Exchange the two motor regions (counterbalancing)."""

    def apply(self, probe: Probe) -> Layout:
        """Return the roles of the probe's channels; positions come in um."""
        where = positions_um(probe)
        sensory = _spread(where, min(self.sensory_electrodes, len(where)))
        pitch = pitch_um(where)
        guard = 1.5 * pitch if self.guard_um is None else self.guard_um
        motor = where[:, 1] >= where[list(sensory), 1].max() + guard
        if self.motor == "checkerboard":
            field = np.floor((where - where.min(axis=0)) / max(self.block_um or pitch, pitch) + 0.25).astype(int)
            side = field.sum(axis=1) % 2
        else:
            side = (where[:, 0] > np.median(where[motor, 0])).astype(int) if motor.any() else np.zeros(len(where), int)
        regions = np.where(motor, 1 - side if self.flip else side, -1)
        return Layout(sensory, regions.astype(np.int64), 2)


def positions_um(probe: Probe) -> npt.NDArray[np.float64]:
    """Return the position of each channel, um, shape (n_channels, 2)."""
    order = np.argsort(probe.device_channel_indices)
    return np.asarray(probe.contact_positions, float)[order]


def pitch_um(where: npt.NDArray[np.float64]) -> float:
    """Return the least distance between two electrodes, um (1 for a single one)."""
    if len(where) < 2:
        return 1.0
    apart = np.linalg.norm(where[:SAMPLED, None] - where[None], axis=2)
    return float(apart[apart > 0].min())


def grid_probe(columns: int, rows: int, pitch: float, diameter_um: float = 30.0) -> Probe:
    """Return a rectangular array of round contacts, row by row from the upper edge, one channel each; um."""
    x, y = np.meshgrid(np.arange(columns) * pitch, np.arange(rows) * pitch)
    return probe_at(np.column_stack([x.ravel(), y.ravel()]), diameter_um)


def probe_at(where: npt.NDArray[np.float64], diameter_um: float) -> Probe:
    """Return a planar probe with round contacts at these positions, um, shape (n_channels, 2)."""
    import probeinterface

    probe = probeinterface.Probe(ndim=2, si_units="um")
    probe.set_contacts(where, shapes="circle", shape_params={"radius": diameter_um / 2})
    probe.set_contact_ids([str(i) for i in range(len(where))])
    probe.set_device_channel_indices(np.arange(len(where)))
    return probe


def _spread(where: npt.NDArray[np.float64], n: int) -> tuple[int, ...]:
    """Pick ``n`` channels nearest to points spread along the upper edge, each channel once, ordered along x."""
    (left, top), right = where.min(axis=0), where[:, 0].max()
    free = np.ones(len(where), bool)
    chosen = []
    for x in np.linspace(left, right, n) if n > 1 else [(left + right) / 2]:
        far = np.where(free, np.hypot(where[:, 0] - x, where[:, 1] - top), np.inf)
        chosen.append(int(far.argmin()))
        free[chosen[-1]] = False
    return tuple(sorted(chosen, key=lambda c: (where[c, 0], where[c, 1])))
