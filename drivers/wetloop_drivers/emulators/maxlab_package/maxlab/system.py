"""Commands that may stand in a sequence beside those of the chip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DelaySamples:
    """Wait, 50 us each."""

    samples: int

    def text(self) -> str:
        """Return the command as the server reads it."""
        return f"system_delay_samples {self.samples}"


@dataclass(frozen=True)
class Event:
    """Stamp a mark with the frame number into the vendor's recording."""

    well_id: int
    event_type: int
    event_id: int
    properties: str = ""

    def text(self) -> str:
        """Return the command as the server reads it."""
        return f"system_trigger_event {self.well_id} {self.event_type} {self.event_id} {self.properties}"
