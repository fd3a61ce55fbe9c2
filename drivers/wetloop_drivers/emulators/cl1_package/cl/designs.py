"""What is stimulated, and where."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

N_CHANNELS = 64
MOST_UA, MOST_PC, STEP_US = 3.0, 3000.0, 20


class ChannelSet:
    """A set of channels."""

    def __init__(self, *channels: int) -> None:
        for channel in channels:
            if not 0 <= channel < N_CHANNELS:
                raise ValueError(f"there is no channel {channel}")
        self._channels = frozenset(channels)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._channels))

    def __or__(self, other: ChannelSet) -> ChannelSet:
        return ChannelSet(*self._channels, *other)


class StimDesign:
    """One to three phases, each given by its width in us and its current in uA."""

    def __init__(self, *widths_and_currents: float) -> None:
        widths_us, currents_ua = widths_and_currents[::2], widths_and_currents[1::2]
        self.phases = tuple(zip(widths_us, currents_ua, strict=True))
        if not 1 <= len(self.phases) <= 3:
            raise ValueError(f"a pulse has 1 to 3 phases, not {len(self.phases)}")
        for width_us, current_ua in self.phases:
            if abs(current_ua) > MOST_UA or abs(current_ua * width_us) > MOST_PC:
                raise ValueError(f"{current_ua} uA for {width_us} us is more than {MOST_UA} uA or {MOST_PC / 1000} nC")
            if width_us < STEP_US or width_us % STEP_US:
                raise ValueError(f"a phase lasts a multiple of {STEP_US} us, not {width_us} us")
        if any(a * b > 0 for a, b in pairwise(currents_ua)):
            raise ValueError("neighbouring phases have opposite signs")

    @property
    def duration_us(self) -> float:
        """All phases, us."""
        return sum(width_us for width_us, _ in self.phases)
