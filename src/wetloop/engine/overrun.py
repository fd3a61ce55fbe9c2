"""What happens when decisions come late again and again: nothing, a pause of the stimulation, or the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from wetloop.core.clock import Pace
    from wetloop.core.types import RigInfo
    from wetloop.engine.brake import Brake


class OverrunConfig(BaseModel):
    """When a real-time session counts as overrun, and what follows; late pulses are dropped in any case."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    policy: Literal["continue", "pause", "trip"] = "continue"
    """Go on; stimulate nothing until decisions are on time again; or trip the guard."""
    late_ms: float = Field(10.0, gt=0, allow_inf_nan=False)
    """A decision overruns when it comes this long after its window has closed, ms, beside the wait for its packet."""
    after: int = Field(10, ge=1)
    """Overruns within ``within_s`` that call for the policy."""
    within_s: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Length of the window, and how long decisions have to be on time before a pause ends, s of the rig's clock."""


class Overruns:
    """A pace that watches the lateness of decisions; it acts through the engine's recorded stream of commands."""

    def __init__(self, config: OverrunConfig, brake: Brake, info: RigInfo, pace: Pace) -> None:
        self._config, self._brake, self._pace = config, brake, pace
        self._late_us = 1000 * config.late_ms + info.packet_wait_us
        self._within = round(config.within_s * info.sampling_frequency)
        self._late: deque[int] = deque(maxlen=config.after)
        self._paused = False

    def wait(self, sample: int) -> float:
        """Wait as the pace does, and take the lateness into account."""
        lateness_us = self._pace.wait(sample)
        if lateness_us > self._late_us:
            self._late.append(sample)
            if len(self._late) == self._config.after and sample - self._late[0] < self._within:
                self._act(sample)
        elif self._paused and sample - self._late[-1] >= self._within:
            self._paused = False
            self._brake.release("overrun", "on time again", sample)
        return lateness_us

    def _act(self, sample: int) -> None:
        late = f"{self._config.after} decisions came late within {self._config.within_s:g} s"
        if self._config.policy == "trip":
            self._brake.trip("overrun", late, sample)
        elif self._config.policy == "pause" and not self._paused:
            self._paused = True
            self._brake.hold("overrun", late, sample, task=False)
