"""Configuration of the encoder that plays what an agent asks for; importing it is cheap."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.guard import Pattern, Pulse
from wetloop.core.plugin import EncoderConfig

if TYPE_CHECKING:
    from wetloop.coding.requested import RequestedEncoder
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext

Channel = Annotated[int, Field(ge=0)]
PatternName = Annotated[str, Field(min_length=1, max_length=60)]


class RequestedPulse(BaseModel):
    """A pulse on one or more electrodes at once, prepared before the run."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    electrodes: tuple[Channel, ...] = Field(min_length=1)
    """Channels that are stimulated together."""
    amplitude_mv: float = Field(75.0, gt=0)
    """Amplitude on a voltage-controlled rig, mV."""
    amplitude_ua: float = Field(1.0, gt=0)
    """Amplitude on a current-controlled rig, uA."""
    phase_us: float = Field(200.0, gt=0)
    """Width of each phase, us."""

    def pattern(self, unit: str) -> Pattern:
        """Return the pattern on a rig of this unit."""
        amplitude = self.amplitude_mv if unit == "mV" else self.amplitude_ua
        return Pattern(Pulse.balanced(amplitude, self.phase_us, unit), self.electrodes)


class RequestedConfig(EncoderConfig):
    """Plays prepared patterns at the rates that the observation asks for, in Hz: the task is an agent.

    A decision in which the task is late changes nothing, so that the last trains end by themselves after ``hold_ms``.
    """

    kind: Literal["requested"] = "requested"
    pulses: dict[PatternName, RequestedPulse] = Field(min_length=1)
    """What can be asked for; the element of the observation of the same name is its rate."""
    min_rate_hz: float = Field(1.0, gt=0)
    """A request below this is silence, Hz."""
    max_rate_hz: float = Field(40.0, gt=0)
    """A request above this counts as this, Hz."""
    max_total_hz: float | None = Field(200.0, gt=0)
    """Pulses per second on all electrodes together; where requests ask for more, all their rates are lowered alike."""
    hold_ms: float = Field(50.0, gt=0)
    """A train that is not asked for again ends after this time, ms."""

    @model_validator(mode="after")
    def _rates_in_order(self) -> Self:
        if self.min_rate_hz > self.max_rate_hz:
            raise ValueError(f"min_rate_hz {self.min_rate_hz:g} is over max_rate_hz {self.max_rate_hz:g}")
        return self

    @model_validator(mode="after")
    def _electrodes_stand_in_one_pulse(self) -> Self:
        channels = [channel for pulse in self.pulses.values() for channel in pulse.electrodes]
        if twice := sorted({channel for channel in channels if channels.count(channel) > 1}):
            raise ValueError(
                f"pulses: electrode {twice[0]} stands in two of them, whose rates would add up on it: name it once"
            )
        return self

    def needs(self) -> int:
        return 0

    def patterns(self, layout: "Layout", unit: str) -> dict[str, Pattern]:
        _ = layout
        return {f"requested {name}": made.pattern(unit) for name, made in self.pulses.items()}

    def build(self, context: "BuildContext") -> "RequestedEncoder":
        from wetloop.coding.requested import RequestedEncoder

        return RequestedEncoder(self, context)
