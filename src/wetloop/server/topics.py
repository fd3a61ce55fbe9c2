"""What telemetry tells: the model of each topic's messages, for programs that check or describe what they read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1
Count = Annotated[int, Field(ge=0)]
Number: TypeAlias = float | None
"""Null stands for what JSON does not have: infinities, and what is not a number."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    seq: int = Field(ge=1)
    """Counts the topic's messages: a gap tells how many were lost on the way."""


class _Stream(_Message):
    lost: Count
    """Rows that were overwritten before the server could read them."""


class Spikes(_Stream):
    """Spikes, one list for each column."""

    sample_index: list[int]
    channel_index: list[Count]
    amplitude_uv: list[Number]


class Pulses(_Stream):
    """Pulses whose fate is known, one list for each column."""

    sample_index: list[int]
    pattern: list[Count]
    """Entry of the pattern table."""
    kind: list[Count]
    """0 sensory, 1 predictable, 2 random, 3 reflex."""
    fate: list[Count]
    """0 delivered; others tell why not, as in the recording."""


class Decisions(_Stream):
    """Decisions, one list for each column."""

    index: list[Count]
    stop_sample: list[int]
    playing: list[Literal[0, 1]]
    """0 while the task is on hold."""
    events: list[Count]
    """Bit mask over the task's events."""
    reward: list[Number]
    action: list[list[Number]]
    observation: list[list[Number]]


class Rates(_Message):
    """Spikes of each channel between two samples, as a rate."""

    start_sample: int
    stop_sample: int
    rates_hz: list[float]
    """One for each channel, Hz."""


class State(_Message):
    """Who made the rig's state what it is; the latest value, sent to every new subscriber."""

    rig: str
    state: Literal["disarmed", "armed", "running", "paused", "tripped"]
    before: Literal["disarmed", "armed", "running", "paused", "tripped"]
    who: str
    why: str
    at: str
    """ISO 8601, UTC."""
    phase: Literal["free", "starting", "playing"]
    """Whether the rig has a session."""


class Alarm(BaseModel):
    """An alarm, as the recording has it."""

    model_config = _Message.model_config

    watch: str
    """Which watchdog: silent, storm, noise, lost, disk or recorder."""
    state: Literal["raised", "over"]
    sample_index: int
    at: str
    """ISO 8601, UTC."""
    value: Number
    limit: Number
    unit: str
    """Of value and limit."""
    policy: Literal["continue", "pause", "trip", "stop"]
    """What followed."""
    meaning: str
    """The same in words."""


class Alarms(_Message):
    """Alarms of the session, or of the last one; the latest value, sent to every new subscriber."""

    active: list[str]
    """Watchdogs whose alarm is not over."""
    count: Count
    """All alarms of the session so far."""
    recent: list[Alarm]
    """The newest ones, the last one last."""


class Health(_Message):
    """How the session is doing; the latest value, sent to every new subscriber."""

    model_config = ConfigDict(extra="allow")

    position_sample: int
    """Newest sample that the engine has seen."""
    late_blocks: Count
    pulses_forwarded: Count
    pulses_held_back: Count
    guard_state: str
    lost_samples: Count
    dropped: dict[str, Count]
    """Records that a full ring had no room for, by ring."""
    recorder: dict[str, int]


MODELS: dict[str, type[_Message]] = {
    "spikes": Spikes, "pulses": Pulses, "decisions": Decisions, "rates": Rates, "state": State, "health": Health,
    "alarms": Alarms,
}  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the JSON schema of every topic's messages."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wetloop telemetry",
        "version": VERSION,
        "topics": {topic: model.model_json_schema() for topic, model in MODELS.items()},
    }
