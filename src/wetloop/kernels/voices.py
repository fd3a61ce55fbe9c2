"""Voices: numbered pulse trains, set in absolute samples, committed in order of time up to the frontier.

A setting waits in its voice until its start; what runs goes on until then. So a plan made a decision ahead never opens
a gap, and a rate code whose period changes at every decision keeps its phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wetloop.kernels.guard import admit
from wetloop.kernels.jit import inner
from wetloop.kernels.random import exponential, mix
from wetloop.kernels.records import (
    DELIVERED,
    LATE,
    LEASE,
    LEASE_EXPIRED,
    NEVER,
    NOT_RUNNING,
    PREEMPTED,
    RUNNING,
    STATE,
    TRIPPED,
)
from wetloop.kernels.rings import ENGINE, commit, front, release, reserve, waiting

if TYPE_CHECKING:
    from wetloop.kernels.records import Record
    from wetloop.kernels.rings import Ring
    from wetloop.kernels.state import EngineState

REPLACE, APPEND, KEEP_PHASE = range(3)
REGULAR, POISSON = range(2)


@inner
def apply_commands(s: EngineState, commands: Ring) -> None:
    """Take every waiting command; each renews the lease. A tripped engine stays so to its end."""
    core = s.core[0]
    for _ in range(waiting(commands, ENGINE)):
        c = commands.slots[front(commands, ENGINE)]
        if c.action == STATE:
            if core.state != TRIPPED:
                core.state = c.voice
        elif c.action != LEASE:
            enqueue(s, c)
        core.lease_until = max(core.lease_until, c.lease_until)
        core.serial = c.serial
        core.next_due = 0
        release(commands, ENGINE)


@inner
def enqueue(s: EngineState, c: Record) -> None:
    """Let a setting wait in its voice; a newer plan supersedes those that were to start later."""
    v = s.voices[c.voice]
    depth = s.pending.shape[1]
    while c.update != APPEND and v.pending_last > v.pending_first:
        if s.pending[c.voice, (v.pending_last - 1) % depth].start_sample < c.start_sample:
            break
        v.pending_last -= 1
    if v.pending_last - v.pending_first >= depth:
        s.core[0].overflows += 1
        return
    s.pending[c.voice, v.pending_last % depth] = c
    v.pending_last += 1


@inner
def switch_sample(s: EngineState, voice: int) -> int:
    """Return when the next setting of a voice takes over."""
    v = s.voices[voice]
    if v.pending_first == v.pending_last:
        return int(NEVER)
    c = s.pending[voice, v.pending_first % s.pending.shape[1]]
    return int(max(c.start_sample, v.stop)) if c.update == APPEND else int(c.start_sample)


@inner
def switch(s: EngineState, voice: int) -> None:
    """Start the next setting of a voice."""
    v = s.voices[voice]
    start = switch_sample(s, voice)
    c = s.pending[voice, v.pending_first % s.pending.shape[1]]
    period = max(c.period_samples, 1.0)
    first = float(start)
    if c.timing == POISSON:
        first += exponential(c.seed, 0) * period
    elif c.update == KEEP_PHASE:
        first = keep_phase(s, voice, max(start, s.core[0].frontier), period)
    v.pending_first += 1
    v.first, v.count, v.kind, v.priority, v.timing = c.first, c.count, c.kind, c.priority, c.timing
    v.start, v.stop, v.period, v.seed, v.serial = start, c.stop_sample, period, c.seed, c.serial
    v.next, v.k, v.used = first, 0, 1
    v.on = np.int64(due_sample(v) < v.stop)


@inner
def keep_phase(s: EngineState, voice: int, at: int, period: float) -> float:
    """Return the time of the next pulse when the rate changes at ``at``: the elapsed part of the interval counts."""
    v = s.voices[voice]
    if v.used == 0:
        return at + period
    if v.on and v.period == period and v.next >= at:
        return float(v.next)
    left = float((v.next - min(float(at), float(v.stop))) / v.period)
    return at + min(max(left, 0.0), 1.0) * period


@inner
def due_sample(v: Record) -> int:
    """Return the sample of a voice's next pulse."""
    return int(np.floor(v.next + 0.5))


@inner
def earliest(s: EngineState) -> tuple[int, int, bool]:
    """Return (voice, sample, is a switch) of what comes next: switches first, then by priority, then by voice."""
    who, due, is_switch = -1, int(NEVER), False
    for i in range(s.voices.size):
        at = switch_sample(s, i)
        if at < due or (at == due and not is_switch and at < NEVER):
            who, due, is_switch = i, at, True
        v = s.voices[i]
        if v.on:
            at = due_sample(v)
            if at < due or (at == due and not is_switch and v.priority > s.voices[who].priority):
                who, due, is_switch = i, at, False
    return who, due, is_switch


@inner
def is_preempted(s: EngineState, priority: int, sample: int) -> bool:
    """Tell whether a voice of higher priority is on at this sample, between its pulses too, or about to start.

    About to start means within the guard's least interval: else the guard would refuse the first pulse of a feedback
    train because of a sensory pulse just before it.
    """
    margin, depth = s.guard.limits[0].min_interval, s.pending.shape[1]
    for i in range(s.voices.size):
        v = s.voices[i]
        if v.priority > priority and v.start <= sample < v.stop:
            return True
        for k in range(v.pending_first, v.pending_last):
            c = s.pending[i, k % depth]
            if c.priority > priority and c.start_sample - margin < sample < c.stop_sample:
                return True
    return False


@inner
def decide_fate(s: EngineState, priority: int, sample: int, pattern: int) -> int:
    """Return what becomes of a pulse; one that is DELIVERED is booked in the guard."""
    core = s.core[0]
    if core.state != RUNNING:
        return NOT_RUNNING
    if sample < core.frontier or sample < core.newest:
        return LATE
    if sample >= core.lease_until:
        return LEASE_EXPIRED
    if is_preempted(s, priority, sample):
        return PREEMPTED
    return int(admit(s.guard, sample, pattern))


@inner
def commit_pulses(s: EngineState, pulses: Ring, frontier: int) -> int:
    """Decide every pulse before the new frontier, in order of time; return how many."""
    core, n = s.core[0], 0
    while core.next_due < frontier:
        who, due, is_switch = earliest(s)
        core.next_due = due
        if due >= frontier:
            break
        if is_switch:
            switch(s, who)
        else:
            emit(s, pulses, who, due)
            n += 1
    core.frontier = frontier
    return n


@inner
def emit(s: EngineState, pulses: Ring, voice: int, sample: int) -> None:
    """Decide one pulse, report it, and move its voice on."""
    core, v = s.core[0], s.voices[voice]
    pattern = v.first
    if v.count > 1:
        pattern += np.int32(mix(v.seed, 2 * v.k + 1) % np.uint64(v.count))
    fate = decide_fate(s, v.priority, sample, pattern)
    s.fates[v.kind, fate] += 1
    if fate == DELIVERED:
        d = s.delivered[core.n_delivered % s.delivered.size]
        d.sample_index, d.kind = sample, v.kind
        core.n_delivered += 1
    elif fate > NOT_RUNNING:
        refuse(s, sample)
    i = reserve(pulses)
    if i >= 0:
        p = pulses.slots[i]
        p.sample_index, p.serial, p.pattern, p.voice = sample, v.serial, pattern, voice
        p.kind, p.priority, p.fate = v.kind, v.priority, fate
        commit(pulses)
    v.k += 1
    v.next += v.period * exponential(v.seed, 2 * v.k) if v.timing == POISSON else v.period
    v.on = np.int64(due_sample(v) < v.stop)


@inner
def refuse(s: EngineState, sample: int) -> None:
    """Count a refusal; too many within one second of the rig's clock trip the guard."""
    core = s.core[0]
    second = sample // (1000 * core.frame)
    if second != core.refused_second:
        core.refused_second, core.refused = second, 0
    core.refused += 1
    if core.trip_refused > 0 and core.refused > core.trip_refused:
        core.state = TRIPPED
