"""The section ``reflex``: a function of the user's, and what it may deliver."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.guard import Pattern, Pulse

Number = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ReflexPattern(_Section):
    """One pulse on one or more electrodes at once."""

    channels: tuple[int, ...] = Field(min_length=1)
    """Channels that are stimulated."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""
    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""

    def prepared(self, unit: str) -> Pattern:
        """Return the pattern on a rig with this unit of amplitude."""
        amplitude = self.amplitude_mv if unit == "mV" else self.amplitude_ua
        return Pattern(Pulse.balanced(amplitude, self.phase_us, unit), self.channels)


class ReflexConfig(_Section):
    """A compiled function that is called every frame of 1 ms with the new spikes and may ask for a pulse."""

    function: str | None = None
    """Path and function, FILE.py:NAME, or the name of an entry point; by default there is no reflex."""
    patterns: dict[str, ReflexPattern] = {}
    """What it may ask for, by name; the function knows them as 0, 1, ... in this order."""
    parameters: tuple[Number, ...] = Field((), max_length=8)
    """Numbers that the function finds in its memory from place 8 on."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.function is None and (self.patterns or self.parameters):
            raise ValueError("has patterns or parameters but no function: give one as FILE.py:NAME")
        if self.function is not None and not self.patterns:
            raise ValueError("has a function but no patterns: list what it may ask for under patterns")
        return self

    def prepared(self, unit: str) -> dict[str, Pattern]:
        """Return its entries of the pattern table, in the order of their numbers."""
        return {f"reflex {name}": pattern.prepared(unit) for name, pattern in self.patterns.items()}
