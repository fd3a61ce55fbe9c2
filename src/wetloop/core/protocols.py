"""The seams, in the order in which a session calls them. Anything with these methods will do; nothing is inherited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from wetloop.core.guard import Pattern, PatternTable
    from wetloop.core.types import Block, Outcome, Records, Response, RigInfo, SpikeBatch, StimProgram, Tick


@runtime_checkable
class Source(Protocol):
    """Delivers blocks. ``info`` is complete before ``open``."""

    @property
    def info(self) -> RigInfo:
        """Describe the rig; valid before ``open``."""

    def open(self) -> None:
        """Connect and start; called once."""

    def read(self) -> Block:
        """Wait for the next packet and return it; raise ``EOFError`` when the source has ended.

        A source that waits for hardware returns a block of no samples when nothing has come for 0.1 s, so that its
        process can be told to end; it raises ``RigError`` when the rig is lost for good.
        """

    def close(self) -> None:
        """Stop and let go of everything; may be called twice."""


@runtime_checkable
class Stimulator(Protocol):
    """Delivers prepared patterns. One object may be Source and Stimulator.

    Where the rig keeps its own time, ``trigger`` and ``silence`` come from another thread than ``read``.
    """

    def prepare(self, table: PatternTable) -> None:
        """Load the whole table; called once, before the first ``trigger`` and, of a source, after ``open``.

        What was loaded is read back where the rig allows it; ``RigError`` where it differs.
        """

    def trigger(self, pattern: int, at_sample: int) -> None:
        """Deliver entry ``pattern`` of the table at ``at_sample``; called in order of time, ahead of it.

        An immediate stimulator (``RigInfo.immediate``) is called when the sample is due, and delivers at once.
        Raises ``LatePulseError`` where the sample has passed, ``RigError`` where the rig is lost.
        """

    def silence(self) -> None:
        """Deliver nothing from now on, including what was already triggered; may be called at any time after open."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


@runtime_checkable
class Answers(Protocol):
    """A source or stimulator that can be asked something harmless, once it is opened or prepared."""

    def ping(self) -> None:
        """Ask, and wait for the answer; raise ``RigError`` where none comes."""


@runtime_checkable
class Witness(Protocol):
    """A source whose rig tells of the pulses that it delivers."""

    def take_seen(self) -> Records:
        """Return the pulses that the rig has told of since the last call, dtype ``rig_pulses.SEEN``.

        Called after each ``read``, from the same thread; it must not wait.
        """


@runtime_checkable
class StopInput(Protocol):
    """A stimulator, or a source that is one, whose hardware has an input for an emergency stop."""

    def stop_asked(self) -> bool | None:
        """Return whether the input was raised since the stimulator was prepared; None where none is wired.

        Called once a millisecond from the thread of ``trigger``, so it must not wait. The session is silenced and
        ends as stopped. Raises ``RigError`` where the rig is lost, and then stimulation ends too.
        """


@runtime_checkable
class StopButton(Protocol):
    """An emulator with an emergency stop."""

    def press_stop(self) -> None:
        """Raise the input."""


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


class Dish(Protocol):
    """A culture on the bench, as the emulators of vendors see it: blocks out, pulses in."""

    @property
    def info(self) -> RigInfo:
        """Describe the culture's array."""

    def load(self, pattern: Pattern) -> int:
        """Make a pattern deliverable; return its number. Currents act as voltages over the access resistance."""

    def stimulate(self, number: int, delay_samples: int = 0) -> int:
        """Deliver a loaded pattern as soon as it can be, or so much later; return the sample at which it will be."""

    def stimulate_at(self, number: int, at_sample: int) -> int:
        """Deliver a loaded pattern at a sample, or as soon as it can be; return the sample at which it will be."""

    def silence(self) -> None:
        """Forget the pulses that are not delivered yet."""


class Emulator(Protocol):
    """A vendor's side of a wire. The dish hands it blocks from one thread; its wires have threads of their own."""

    def open(self) -> Mapping[str, Any]:
        """Listen; return the settings with which the drivers of the same kind reach it (addresses, ports).

        Where a source and a stimulator are two drivers, each takes the settings that it has.
        """

    def deliver(self, block: Block) -> None:
        """Send what the culture did, as the vendor would; must not wait for anybody."""

    def unplug(self) -> None:
        """Cut every connection without a word, as a pulled cable does."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""
