"""What is watched while nobody looks, what follows from it, and who is told."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

Policy: TypeAlias = Literal["continue", "pause", "trip", "stop"]
"""Only say so; stimulate nothing and hold the task until it is over or a person resumes; trip the guard
(``guard.after_trip`` says what follows); or end the session with stimulation off."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SilentConfig(_Section):
    """A culture that has fallen silent, or an amplifier that has come loose."""

    policy: Policy = "continue"
    """What follows."""
    at_most_hz: float = Field(0.05, ge=0, allow_inf_nan=False)
    """Spikes per second over the whole array that still count as silence, Hz."""
    after_s: float = Field(60.0, ge=1, le=86_400)
    """Length of the window in which they are counted, s of the rig's clock."""


class StormConfig(_Section):
    """An epileptic culture: activity without the pauses that network bursts leave.

    Network bursts last 0.1 to 1 s and come up to 40 times a minute, at 13 to 158 spikes/s over an array of 60
    electrodes in the long run (quartiles of the cultures of Wagenaar et al. 2006); no burst keeps every second of ten
    above the limit.
    """

    policy: Policy = "continue"
    """What follows."""
    above_hz: float = Field(1000.0, gt=0, allow_inf_nan=False)
    """Spikes per second over the whole array that are too many, Hz; larger arrays need a larger limit."""
    after_s: float = Field(10.0, ge=1, le=86_400)
    """How long each second has to be above it, or below it again, s of the rig's clock."""


class NoiseConfig(_Section):
    """Noise that drifts away from what it was: a drying dish, a loose ground. Only of rigs that deliver samples."""

    policy: Policy = "continue"
    """What follows."""
    factor: float = Field(2.0, gt=1, allow_inf_nan=False)
    """A channel has drifted when its noise is this many times larger or smaller than its reference."""
    share: float = Field(0.25, gt=0, le=1)
    """Share of the usable channels that have to drift."""
    after_s: float = Field(10.0, ge=1, le=86_400)
    """How long they have to, or have to be back, s of the rig's clock."""
    reference_s: float = Field(10.0, ge=1, le=86_400)
    """The noise at this time after the start is the reference, s of the rig's clock."""


class LostConfig(_Section):
    """A rig that delivers nothing in real time; stimulation has long been off then, for its lease has expired."""

    policy: Policy = "stop"
    """Give the session up, or wait for the rig without end: paused or tripped when it comes back, or as if nothing had
    happened."""
    patience_s: float = Field(5.0, ge=0.1, le=86_400)
    """How long a rig may deliver nothing, s of the host's clock."""


class RefusedConfig(_Section):
    """Pulses that the rig does not take: a stimulator that was unplugged, or is too slow. Only in real time."""

    policy: Policy = "continue"
    """What follows."""
    share: float = Field(0.5, ge=0, lt=1)
    """Share of the pulses that the rig may refuse."""
    after_s: float = Field(5.0, ge=1, le=86_400)
    """Length of the window in which they are counted, s of the rig's clock."""
    at_least: int = Field(5, ge=1)
    """Pulses in the window from which a share tells something."""


class NotifyConfig(_Section):
    """Who is told of alarms, trips, failed sessions and nearly full disks, as one JSON object each."""

    command: tuple[str, ...] = ()
    """Program and arguments, run without a shell, with the object on its standard input."""
    webhook: str | None = None
    """Address to which the object is posted: http or https, on this machine unless ``allow_remote``."""
    allow_remote: bool = False
    """Let the webhook be on another machine: the names of culture, rig and file leave this one."""
    timeout_s: float = Field(10.0, gt=0, le=300)
    """Longest time for the command, and for the webhook, s; a command that takes longer is ended."""
    at_most_every_s: float = Field(60.0, ge=0, le=86_400)
    """Least time between two objects of one kind, s; what comes between is counted in the next one."""

    @model_validator(mode="after")
    def _webhook_stays_here(self) -> Self:
        if self.webhook is None:
            return self
        address = urlsplit(self.webhook)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError(f"webhook {self.webhook!r} is no address: write http://127.0.0.1:PORT/PATH")
        if not self.allow_remote and not _is_loopback(address.hostname):
            raise ValueError(
                f"webhook {self.webhook!r} leads to another machine: say allow_remote: true if that is meant"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WatchConfig(_Section):
    """What is watched while nobody looks; every alarm is noted in the recording, whatever follows from it."""

    silent: SilentConfig = SilentConfig()
    """No activity."""
    storm: StormConfig = StormConfig()
    """Too much activity."""
    noise: NoiseConfig = NoiseConfig()
    """Noise that drifts."""
    lost: LostConfig = LostConfig()
    """A rig that delivers nothing."""
    refused: RefusedConfig = RefusedConfig()
    """A rig that does not take pulses."""
    notify: NotifyConfig = NotifyConfig()
    """Who is told."""
