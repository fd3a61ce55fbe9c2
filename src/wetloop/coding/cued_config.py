"""Configuration of the encoder that plays pulses which the task announces; importing it is cheap."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from wetloop.coding.requested_config import PatternName, RequestedPulse
from wetloop.core.plugin import EncoderConfig

if TYPE_CHECKING:
    from wetloop.coding.cued import CuedEncoder
    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext


class CuedConfig(EncoderConfig):
    """Plays single pulses at the moments that the task announces, so that the task knows when to look for answers.

    The element of the observation that is called as a pulse tells in how many ms from the end of the decision it is
    due; 0 announces nothing.
    """

    kind: Literal["cued"] = "cued"
    pulses: dict[PatternName, RequestedPulse] = Field(min_length=1)
    """What can be announced, by the name of the element that announces it."""
    max_rate_hz: Annotated[float, Field(gt=0)] = 10.0
    """Pulses per second that the task may announce of each; the limits must leave room for them. One that is announced
    sooner after the last is not played, Hz."""

    def needs(self) -> int:
        return 0

    def patterns(self, layout: "Layout", unit: str) -> "dict[str, Pattern]":
        _ = layout
        return {f"cued {name}": made.pattern(unit) for name, made in self.pulses.items()}

    def build(self, context: "BuildContext") -> "CuedEncoder":
        from wetloop.coding.cued import CuedEncoder

        return CuedEncoder(self, context)
