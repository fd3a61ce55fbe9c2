"""What stimulation may never exceed.

Limits come from three layers (driver, rig file, session). The tightest value of each wins, so a session can only
tighten. Charge limits follow the electrochemistry of the electrode, not the excitability of the tissue: at the size of
a MEA contact the Shannon criterion never binds (k of a 1 uA, 200 us pulse on a 30 um disc is -2.25).
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

Limit = Annotated[float, Field(ge=0, allow_inf_nan=True)]


class StimLimits(BaseModel):
    """One layer of limits; a value left out does not bind."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max_amplitude_mv: Limit = math.inf
    """Largest phase amplitude of a voltage pulse, mV; stay inside the water window of the electrode material."""
    max_amplitude_ua: Limit = math.inf
    """Largest phase amplitude of a current pulse, uA."""
    min_phase_us: Limit = 0.0
    """Shortest phase, us."""
    max_phase_us: Limit = math.inf
    """Longest phase, us."""
    max_charge_nc: Limit = math.inf
    """Charge per phase and electrode, nC."""
    max_charge_density_uc_cm2: Limit = math.inf
    """Charge per phase and geometric electrode area, uC/cm2."""
    max_imbalance: Limit = math.inf
    """Net charge of a pulse over the charge of its larger phase."""
    max_electrodes: Limit = math.inf
    """Electrodes that may be stimulated at once."""
    min_interval_ms: Limit = 0.0
    """Shortest time between two pulses on one electrode, ms."""
    max_rate_hz: Limit = math.inf
    """Pulses on one electrode in any second."""
    max_array_rate_hz: Limit = math.inf
    """Pulses on all electrodes together in any second; a pulse on eight electrodes counts eight."""
    max_charge_nc_per_s: Limit = math.inf
    """Charge (sum of first phases) on one electrode in any second, nC."""
    max_charge_nc_per_min: Limit = math.inf
    """Charge on one electrode in any minute, nC."""
    max_charge_nc_per_session: Limit = math.inf
    """Charge on one electrode over the session, nC."""
    forbidden_channels: tuple[int, ...] = ()
    """Channels that are never stimulated: reference, ground, dead contacts."""

    def tightened(self, *layers: StimLimits) -> StimLimits:
        """Return the tightest of this layer and the others, field by field."""
        every = (self, *layers)
        values: dict[str, object] = {
            name: (max if name.startswith("min_") else min)(getattr(layer, name) for layer in every)
            for name in type(self).model_fields
            if name != "forbidden_channels"
        }
        forbidden = {channel for layer in every for channel in layer.forbidden_channels}
        return StimLimits.model_validate({**values, "forbidden_channels": tuple(sorted(forbidden))})


BoundLimits = Annotated[StimLimits, PlainSerializer(lambda limits: limits.model_dump(exclude_defaults=True))]
"""Limits in a configuration, stored without the values that do not bind: infinity has no place in JSON."""
