"""The seams, in the order in which a session calls them. Anything with these methods will do; nothing is inherited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Block, Outcome, Response, RigInfo, SpikeBatch, StimProgram, Tick


@runtime_checkable
class Source(Protocol):
    """Delivers blocks. ``info`` is complete before ``open``."""

    @property
    def info(self) -> RigInfo:
        """Describe the rig; valid before ``open``."""

    def open(self) -> None:
        """Connect and start; called once."""

    def read(self) -> Block:
        """Wait for the next packet and return it; raise ``EOFError`` when the source has ended."""

    def close(self) -> None:
        """Stop and let go of everything; may be called twice."""


@runtime_checkable
class Stimulator(Protocol):
    """Delivers prepared patterns. One object may be Source and Stimulator."""

    def prepare(self, table: PatternTable) -> None:
        """Load the whole table; called once, after ``open`` and before the first ``trigger``."""

    def trigger(self, pattern: int, at_sample: int) -> None:
        """Deliver entry ``pattern`` of the table at ``at_sample``; called in order of time, ahead of it."""

    def silence(self) -> None:
        """Deliver nothing from now on, including what was already triggered."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


class Decoder(Protocol):
    """Turns spikes into an action."""

    def decode(self, batch: SpikeBatch, *, held: bool) -> npt.NDArray[np.float64]:
        """Return the action, shape (n_actions,).

        ``held`` says that the task is paused. It is all that a decoder learns of the game: anything more, and the
        decoder could play in the culture's place.
        """


class Encoder(Protocol):
    """Turns what the task shows into stimulation."""

    def encode(self, outcome: Outcome, tick: Tick) -> StimProgram:
        """Return the settings of the encoder's own voices, from ``tick.plan_sample`` on."""


class FeedbackRule(Protocol):
    """Answers the task's events with stimulation."""

    def respond(self, outcome: Outcome, tick: Tick) -> Response:
        """Return pulses and how long to hold the task; called at every decision, events or none."""
