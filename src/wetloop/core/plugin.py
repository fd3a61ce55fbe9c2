"""What a plug-in registers: a configuration model that can build the object it configures.

An entry point names a subclass of one of these models. Importing it must be cheap: heavy modules are imported in
``build``. Groups: ``wetloop.sources``, ``wetloop.stimulators``, ``wetloop.tasks``, ``wetloop.encoders``,
``wetloop.decoders``, ``wetloop.feedback``, ``wetloop.emulators``.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from wetloop.core.errors import ConfigError, RigError
from wetloop.core.limits import StimLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import gymnasium

    from wetloop.core.guard import Pattern, PatternTable
    from wetloop.core.layout import Layout
    from wetloop.core.protocols import Decoder, Dish, Emulator, Encoder, FeedbackRule, Source, Stimulator
    from wetloop.core.types import Records, RigInfo


def seeded(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one named part of a session: parts do not share or shift each other's draws."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class Voices:
    """Hands the engine's voices to encoders, each once; those of feedback and reflexes are not among them."""

    def __init__(self) -> None:
        self._free = [0, *range(10, 62)]

    def take(self, n: int) -> tuple[int, ...]:
        """Return the next ``n`` voices."""
        if n > len(self._free):
            raise ConfigError(
                f"encoder: {n} trains asked for, but {len(self._free)} voices are free: use fewer electrodes"
            )
        taken, self._free = self._free[:n], self._free[n:]
        return tuple(taken)


@dataclass(frozen=True)
class BuildContext:
    """What a codec may know when it is built.

    ``action_names`` and ``observation_names`` are those of the task; ``frame_shape`` is the shape of its picture, empty
    where it has none. ``limits`` are those in effect; ``plan_samples`` is the time from the end of a decision's window
    until its program starts; ``voices`` are those that encoders may set.
    """

    info: RigInfo
    layout: Layout
    table: PatternTable
    decision_samples: int
    seed: int
    action_names: tuple[str, ...] = ()
    observation_names: tuple[str, ...] = ()
    frame_shape: tuple[int, ...] = ()
    limits: StimLimits = field(default_factory=StimLimits)
    plan_samples: int = 0
    voices: Voices = field(default_factory=Voices)

    def rng(self, name: str) -> np.random.Generator:
        """Return the seeded generator of the part called ``name``."""
        return seeded(self.seed, name)


class PluginConfig(BaseModel):
    """Base of every plug-in's configuration: unknown keys are errors, values are validated where they are born."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: str
    """Registered name of the plug-in."""


class SourceConfig(PluginConfig):
    """Configures a source; by default the same object is the stimulator."""

    def build(self, seed: int) -> Source:
        """Return the source, unopened, with its ``info`` complete."""
        raise NotImplementedError

    def misfits(self, table: PatternTable) -> Sequence[str]:
        """Return why this table cannot be loaded, with numbers, as far as it is known before the rig is opened."""
        _ = table
        return ()


class StimulatorConfig(PluginConfig):
    """Configures a stimulator that is not the source: labs record with one make and stimulate with another."""

    def describe(self, rig: RigInfo) -> RigInfo:
        """Return the rig with this stimulator in place of the source's own: unit, limits, patterns, steps, lead."""
        raise NotImplementedError

    def misfits(self, table: PatternTable) -> Sequence[str]:
        """Return why this table cannot be loaded, with numbers, as far as it is known before the rig is opened."""
        _ = table
        return ()

    def build(self, info: RigInfo) -> Stimulator:
        """Return the stimulator, not yet connected, for a rig as ``describe`` returned it."""
        raise NotImplementedError


class OwnStimulatorConfig(StimulatorConfig):
    """The source itself stimulates."""

    kind: Literal["source"] = "source"

    def describe(self, rig: RigInfo) -> RigInfo:
        return rig

    def build(self, info: RigInfo) -> Stimulator:
        raise RigError(f"{info.name} is its own stimulator")


class EmulatorConfig(PluginConfig):
    """Configures a vendor's side of a wire, played on the bench: what a driver of the same ``kind`` talks to."""

    def build(self, dish: Dish) -> Emulator:
        """Return the emulator of a rig with this culture in it; nothing is opened yet."""
        raise NotImplementedError


class TaskConfig(PluginConfig):
    """Configures a task: any ``gymnasium.Env`` whose ``info["events"]`` names what happened."""

    own_process: bool = False
    """Run the task in a process of its own, so that one that hangs or dies cannot stop the session."""
    deadline_ms: float | None = Field(None, gt=0)
    """In real time, wait this long for a task in its own process, then go on with its last observation, ms; by default
    half a decision."""
    restart_after_s: float = Field(2.0, gt=0)
    """In real time, a task in its own process that has not answered for this long is begun anew, s."""

    def build(self, decision_ms: float) -> gymnasium.Env[Any, Any]:
        """Return the environment, whose step lasts ``decision_ms``."""
        raise NotImplementedError

    def build_timed(self, decision_ms: float, *, real_time: bool) -> gymnasium.Env[Any, Any]:
        """Return the environment of a session; by default the same whether or not a clock runs."""
        _ = real_time
        return self.build(decision_ms)

    def retold(self, header: Mapping[str, Any], rows: Records) -> gymnasium.Env[Any, Any] | None:
        """Return the task as a recording tells it, where nothing here could play it again; by default None.

        ``rows`` are the decisions in which it was asked, ``header`` names their events and elements.
        """
        _ = header, rows
        return None

    def event_names(self) -> tuple[str, ...]:
        """Return every event that the task can report, in a fixed order."""
        raise NotImplementedError

    def endless(self) -> TaskConfig:
        """Return the task that goes on after a failure, for the no-feedback condition; by default the same."""
        return self


class CodecConfig(PluginConfig):
    """Configures something that stimulates: the patterns it needs are known before the run."""

    def patterns(self, layout: Layout, unit: str) -> Mapping[str, Pattern]:
        """Return the patterns to prepare, by name; the guard checks and loads them before the run."""
        _ = layout, unit
        return {}


class EncoderConfig(CodecConfig):
    """Configures an encoder."""

    def needs(self) -> int | None:
        """Return how many sensory electrodes it takes; by default all that it is given."""
        return None

    def build(self, context: BuildContext) -> Encoder:
        """Return the encoder."""
        raise NotImplementedError


class FeedbackConfig(CodecConfig):
    """Configures a feedback rule."""

    def event_names(self) -> tuple[str, ...]:
        """Return the events that the rule answers, which the task must be able to report; by default none is named."""
        return ()

    def most_in_a_second(self, layout: Layout, info: RigInfo) -> Mapping[str, float]:
        """Return how many pulses each answer may put into one second, a pulse on two electrodes counting two.

        An answer for which the encoder leaves no room within the array's limit is refused before the run.
        """
        _ = layout, info
        return {}

    def build(self, context: BuildContext) -> FeedbackRule:
        """Return the feedback rule."""
        raise NotImplementedError


class DecoderConfig(PluginConfig):
    """Configures a decoder."""

    def gives_scores(self) -> bool:
        """Return whether Discrete actions get a score each, of which the largest wins, rather than one value."""
        return False

    def fitted(self) -> bool:
        """Return whether the decoder was fitted to recorded data: recordings made with it say so."""
        return False

    def build(self, context: BuildContext) -> Decoder:
        """Return the decoder."""
        raise NotImplementedError
