"""Configuration of the built-in decoders; importing it is cheap, the objects are imported when they are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    from wetloop.coding.decoders import RegionRatio
    from wetloop.core.plugin import BuildContext


class RegionRatioConfig(DecoderConfig):
    """Log ratio of the activity of two motor regions, with a running offset and gain that equalise them."""

    kind: Literal["region-ratio"] = "region-ratio"
    smoothing_ms: float = Field(100.0, gt=0)
    """Time constant of the regions' rates, ms."""
    gain_s: float = Field(30.0, gt=0)
    """Time constant of the ratio's mean and variance, s."""
    floor_hz: float = Field(20.0, gt=0)
    """Added to each region's rate, spikes per second: keeps single spikes in silence from full deflection."""

    def build(self, context: BuildContext) -> RegionRatio:
        from wetloop.coding.decoders import RegionRatio

        return RegionRatio(self, context)
