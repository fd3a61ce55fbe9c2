"""How much a session would stimulate: a minute of the task, played at random, counted from the programs.

Nothing is simulated but the game; the programs are those that encoder and feedback rule would submit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetloop.core.plugin import seeded
from wetloop.core.types import Kind, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.assembly import Players, Setting
    from wetloop.core.guard import PatternTable
    from wetloop.core.limits import StimLimits
    from wetloop.core.types import StimProgram, VoiceSetting

MINUTES = 5.0
STEPS_S = 0.3
"""The random player changes its mind about this often, s."""


class Expected(NamedTuple):
    """Stimulation of one kind per minute; a pulse on eight electrodes counts eight, charge is of one phase.

    Typical is the mean under random play. At most is the fastest train of each voice that was seen, all of them going
    on for a whole minute within the guard's limits.
    """

    kind: str
    typical_pulses: float
    typical_nc: float
    most_pulses: float
    most_nc: float
    most_nc_on_one_electrode: float


class _Most(NamedTuple):
    """A train going on for a minute: pulses and charge over all its electrodes, charge on one of them."""

    pulses: float = 0.0
    nc: float = 0.0
    nc_on_one_electrode: float = 0.0


@dataclass
class _Count:
    """Pulses and charge of one kind over all electrodes, and the fastest train of each voice."""

    pulses: float = 0.0
    charge_nc: float = 0.0
    fastest: dict[int, _Most] = field(default_factory=dict)

    def add(self, setting: VoiceSetting, stop_sample: int, table: PatternTable, minute_samples: float) -> None:
        """Count a train up to ``stop_sample``; ``minute_samples`` is the number of samples in a minute."""
        members = range(setting.patterns.first, setting.patterns.first + setting.patterns.size)
        channels = float(np.mean([len(table.patterns[i].channels) for i in members]))
        charge_nc = float(np.mean([table.charge_nc[i] for i in members]))
        n = channels * max(0, stop_sample - setting.start_sample) / setting.period_samples
        self.pulses += n
        self.charge_nc += n * charge_nc
        rate = minute_samples / setting.period_samples
        most = _Most(rate * channels, rate * channels * charge_nc, rate * charge_nc)
        self.fastest[setting.voice] = max(most, self.fastest.get(setting.voice, _Most()))


@dataclass
class _Meter:
    """Follows the voices and counts what each train came to when it ends or is replaced."""

    table: PatternTable
    minute_samples: float
    counts: dict[Kind, _Count] = field(default_factory=dict)
    running: dict[int, VoiceSetting] = field(default_factory=dict)

    def submit(self, program: StimProgram) -> None:
        for setting in program:
            self.end(setting.voice, setting.start_sample)
            self.running[setting.voice] = setting

    def end(self, voice: int, sample: int) -> None:
        before = self.running.pop(voice, None)
        if before is not None and before.stop_sample > before.start_sample:
            count = self.counts.setdefault(before.kind, _Count())
            count.add(before, min(sample, before.stop_sample), self.table, self.minute_samples)


def expected_stimulation(setting: Setting, parts: Players) -> list[Expected]:
    """Return the stimulation to expect, by kind.

    Parameters
    ----------
    setting
        What is known of the session.
    parts
        Its plug-ins, freshly built; they are used up.
    """
    meter = _Meter(setting.table, 60 * setting.info.sampling_frequency)
    n_decisions = round(MINUTES * 60_000 / setting.config.decision_ms)
    for program in _programs(setting, parts, n_decisions):
        meter.submit(program)
    end = n_decisions * setting.plan.decision
    for voice in list(meter.running):
        meter.end(voice, end)
    return [_row(kind, count, setting.limits) for kind, count in sorted(meter.counts.items())]


def _programs(setting: Setting, parts: Players, n_decisions: int) -> Iterator[StimProgram]:
    """Yield the programs of a game whose player goes to and fro at random."""
    rng, step, ahead = seeded(setting.config.seed, "dry run"), setting.plan.decision, setting.plan.ahead
    change = setting.config.decision_ms / 1000 / STEPS_S
    task = parts.task
    action = np.zeros(len(task.action_names))
    for i in range(n_decisions):
        tick = Tick(i, i * step, (i + 1) * step, (i + 1) * step + ahead)
        if rng.random() < change:
            action = rng.uniform(-1, 1, len(action))
        outcome = task.step(action, tick)
        response = parts.feedback.respond(outcome, tick)
        yield parts.encoder.encode(outcome, tick) + response.program
        task.hold(tick.stop_sample + response.hold_samples)


def _row(kind: Kind, count: _Count, limits: StimLimits) -> Expected:
    trains = count.fastest.values()
    most_pulses, most_nc = sum(most.pulses for most in trains), sum(most.nc for most in trains)
    share = min(1.0, 60 * limits.max_array_rate_hz / most_pulses)
    return Expected(
        kind.name.lower(),
        count.pulses / MINUTES,
        count.charge_nc / MINUTES,
        share * most_pulses,
        share * most_nc,
        min(max(most.nc_on_one_electrode for most in trains), limits.max_charge_nc_per_min),
    )
