"""Which electrodes show the task to the culture and which are read for the action.

Following DishBrain's final layout, the two motor regions interleave finely, so that a burst on one side of the dish
cannot play the game (Kagan et al., Neuron 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import numpy.typing as npt
    from probeinterface import Probe

    Positions = npt.NDArray[np.float64]

SAMPLED = 256
"""Electrodes whose neighbours tell the pitch: all pairs of a high-density array would take gigabytes."""


@dataclass(frozen=True)
class Layout:
    """Roles of the channels.

    Attributes
    ----------
    sensory
        Channels that show the task, row by row from the upper edge, each row from left to right.
    sensory_rows
        Rows that they stand in; places of a code of one dimension are numbered along all of them.
    regions
        Motor region of each channel, -1 for none, shape (n_channels,).
    n_regions
        Number of motor regions.
    """

    sensory: tuple[int, ...]
    regions: npt.NDArray[np.int64]
    n_regions: int
    sensory_rows: int = 1


class LayoutConfig(BaseModel):
    """How roles are given to the electrodes of any probe."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    sensory_electrodes: int = Field(8, ge=1)
    """Electrodes that show the task, spread over the upper part of the array (DishBrain: 8)."""
    sensory_rows: int = Field(1, ge=1)
    """Rows in which they stand: 1 is a line along the upper edge, more make a grid, for pictures."""
    regions: int = Field(2, ge=1)
    """Motor regions: Pong needs 2."""
    motor: Literal["checkerboard", "strips"] = "checkerboard"
    """How the regions lie: interleaved like the fields of a checkerboard, or as strips from left to right."""
    block_um: float | None = Field(None, gt=0)
    """Edge of a checkerboard field, um; by default, and at least, the electrode pitch."""
    guard_um: float | None = Field(None, ge=0)
    """Least distance in y between sensory and motor electrodes, um; by default 1.5 pitches."""
    flip: bool = False
    """Number the motor regions from the other end (counterbalancing)."""

    @model_validator(mode="after")
    def _rows_are_full(self) -> Self:
        if self.sensory_electrodes % self.sensory_rows:
            raise ValueError(
                f"{self.sensory_electrodes} sensory_electrodes do not fill {self.sensory_rows} rows evenly: "
                "make one a multiple of the other"
            )
        return self

    def apply(self, probe: Probe) -> Layout:
        """Return the roles of the probe's channels; positions come in um."""
        where = positions_um(probe)
        pitch = pitch_um(where)
        sensory = self._sensory(where, pitch)
        guard = 1.5 * pitch if self.guard_um is None else self.guard_um
        motor = where[:, 1] >= where[list(sensory), 1].max() + guard
        side = self._checkerboard(where, pitch) if self.motor == "checkerboard" else self._strips(where, motor)
        regions = np.where(motor, self.regions - 1 - side if self.flip else side, -1)
        return Layout(sensory, regions.astype(np.int64), self.regions, self.sensory_rows)

    def _sensory(self, where: Positions, pitch: float) -> tuple[int, ...]:
        """Pick the sensory electrodes row by row; rows stand one pitch or more apart, in the upper half."""
        n, rows = min(self.sensory_electrodes, len(where)), self.sensory_rows
        (left, top), (right, bottom) = where.min(axis=0), where.max(axis=0)
        apart = max(pitch, (bottom - top) / 2 / max(1, rows - 1)) if rows > 1 else 0.0
        free = np.ones(len(where), bool)
        chosen: list[int] = []
        for row in range(rows):
            per_row = n // rows
            points = np.linspace(left, right, per_row) if per_row > 1 else [(left + right) / 2]
            picked = [_nearest(where, free, x, top + row * apart) for x in points]
            chosen += sorted(picked, key=lambda c: (where[c, 0], where[c, 1]))
        return tuple(chosen)

    def _checkerboard(self, where: Positions, pitch: float) -> npt.NDArray[np.int64]:
        field = np.floor((where - where.min(axis=0)) / max(self.block_um or pitch, pitch) + 0.25).astype(np.int64)
        side: npt.NDArray[np.int64] = field.sum(axis=1) % self.regions
        return side

    def _strips(self, where: Positions, motor: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        shares = np.arange(1, self.regions) / self.regions
        borders = np.quantile(where[motor, 0], shares) if motor.any() else np.zeros(self.regions - 1)
        return np.searchsorted(borders, where[:, 0], side="left")


def _nearest(where: Positions, free: npt.NDArray[np.bool_], x: float, y: float) -> int:
    """Return the free channel nearest to a point, and take it."""
    far = np.where(free, np.hypot(where[:, 0] - x, where[:, 1] - y), np.inf)
    chosen = int(far.argmin())
    free[chosen] = False
    return chosen


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
