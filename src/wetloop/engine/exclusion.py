"""Which spikes a decoder is not given: those in windows after a delivered pulse, as a person configures them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.kernels.records import KINDS
from wetloop.kernels.state import EXCLUDED

if TYPE_CHECKING:
    from wetloop.core.types import Records, RigInfo

AfterPulse = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Window = tuple[AfterPulse, AfterPulse]


class ExclusionConfig(BaseModel):
    """Spikes that are detected, recorded and marked, but decoded by nobody, as stimulation made them.

    A spike is excluded when its peak lies in a window after a delivered pulse, whichever electrode it was on. Neither
    decoder nor reflex counts it. Blanking comes first: what ``detection.blank_ms`` holds back is never a spike.

    A decision with many pulses so has fewer spikes to decode, or none where windows are longer than the interval of the
    pulses, and they are not scaled up: what was not seen is not guessed. A decoder that compares regions hardly minds,
    as all channels lose the same time; one that reads rates sees them dip with every pulse.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    artefact_ms: Window | None = None
    """Start and end of the window of the artefact after a pulse, ms, such as [0, 5]; by default nothing is excluded."""
    evoked_ms: Window | None = None
    """Start and end of the window of directly evoked spikes, ms, such as [5, 15]; by default nothing is excluded."""
    kinds: tuple[Literal["sensory", "predictable", "random", "reflex"], ...] = Field(
        ("sensory", "predictable", "random", "reflex"), min_length=1
    )
    """Pulses that the windows follow: sensory, predictable, random, reflex."""

    @model_validator(mode="after")
    def _windows_in_order(self) -> Self:
        for name, window in (("artefact_ms", self.artefact_ms), ("evoked_ms", self.evoked_ms)):
            if window is not None and window[0] >= window[1]:
                raise ValueError(f"{name} ends at {window[1]:g} ms, not after its start at {window[0]:g} ms")
        return self

    def windows(self, info: RigInfo) -> Records:
        """Return the windows in samples, dtype ``EXCLUDED``, empty where one is not set; shape (2,)."""
        rows = np.zeros(2, EXCLUDED)
        rows["kinds"] = sum(1 << KINDS.index(kind) for kind in set(self.kinds))
        for row, window in zip(rows, (self.artefact_ms, self.evoked_ms), strict=True):
            if window is not None:
                row["start"], row["stop"] = map(info.samples, window)
        return rows
