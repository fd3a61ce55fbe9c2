"""One compiled ``advance`` per block, the same in every way of running.

Everything periodic happens at the ends of frames, an absolute grid of 1 ms of samples; a block is cut at that grid, so
packets of any size give the same spikes and pulses. The *frontier* is the sample before which every pulse is decided: a
frame that ends at e moves it to e + lead, and a pulse asked for before it is late.

``advance`` has four inputs: the state, the block, the commands in effect, and the newest sample that the rig had
reached. All four are recorded; host times are written and never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetloop.kernels.clock import now_ns
from wetloop.kernels.detection import detect, end_frame
from wetloop.kernels.jit import inner
from wetloop.kernels.reflex import react
from wetloop.kernels.rings import commit, reserve
from wetloop.kernels.voices import apply_commands, commit_pulses

if TYPE_CHECKING:
    from wetloop.core.types import Records, Samples
    from wetloop.kernels.rings import Ring
    from wetloop.kernels.state import EngineState, Rings


@inner
def advance(
    s: EngineState, r: Rings, start: int, n_samples: int, lost: int, samples: Samples, spikes: Records, newest: int
) -> None:
    """Take the block [start, start + n_samples): blank, detect, report spikes, decide pulses.

    ``samples`` int16 (n_samples, n_channels) where the rig gives samples, else empty; ``spikes`` SPIKE records ordered
    by ``known_sample``, none where the rig gives samples. A block without samples changes nothing.
    """
    if n_samples == 0:
        return
    core, begun = s.core[0], now_ns()
    apply_commands(s, r.commands)
    core.newest = newest
    core.lost += lost
    at, stop, used, n_spikes, n_pulses = start, start + n_samples, 0, 0, 0
    while at < stop:
        end = min(stop, (at // core.frame + 1) * core.frame)
        if samples.size > 0:
            n = find(s, samples[at - start : end - start], at)
            n_spikes += report(s, r.spikes, s.found[:n])
        else:
            first = used
            while used < spikes.size and spikes[used].known_sample < end:
                used += 1
            n_spikes += report(s, r.spikes, spikes[first:used])
        if end % core.frame == 0:
            if samples.size > 0:
                end_frame(s.detector, core.frame)
            react(s, end)
            n_pulses += commit_pulses(s, r.pulses, end + core.lead)
        at = end
    i = reserve(r.blocks)
    if i >= 0:
        b = r.blocks.slots[i]
        b.start_sample, b.n_samples, b.lost_samples, b.newest_sample = start, n_samples, lost, newest
        b.serial, b.n_spikes, b.n_pulses = core.serial, n_spikes, n_pulses
        b.arrival_ns, b.start_ns, b.done_ns = core.arrival_ns, begun, now_ns()
        commit(r.blocks)


@inner
def report(s: EngineState, ring: Ring, spikes: Records) -> int:
    """Put spikes into the ring, in order, except those whose peak is blanked; mark those that are excluded.

    What is not excluded counts for a reflex, as it does for a decoder.
    """
    counts, counting, n = s.reflex.counts, s.reflex.link[0].address != 0, 0
    for k in range(spikes.size):
        if is_blank(s, spikes[k].sample_index):
            continue
        n += 1
        channel, excluded = spikes[k].channel_index, exclusion_of(s, spikes[k].sample_index)
        if counting and excluded == 0 and 0 <= channel < counts.size:
            counts[channel] += 1
        i = reserve(ring)
        if i >= 0:
            ring.slots[i] = spikes[k]
            ring.slots[i].excluded = excluded
            commit(ring)
    return n


@inner
def exclusion_of(s: EngineState, sample: int) -> int:
    """Return which window after a delivered pulse a peak lies in, a code of ``EXCLUSIONS``; the newest pulse decides.

    All pulses up to a spike that is known have been decided, so nothing here depends on packets.
    """
    core = s.core[0]
    for k in range(1, min(core.n_delivered, s.delivered.size) + 1):
        pulse = s.delivered[(core.n_delivered - k) % s.delivered.size]
        after = sample - pulse.sample_index
        if after >= core.excluded_until:
            return 0
        for w in range(s.exclusion.size):
            window = s.exclusion[w]
            if window.start <= after < window.stop and (window.kinds >> pulse.kind) & 1:
                return w + 1
    return 0


@inner
def is_blank(s: EngineState, sample: int) -> bool:
    """Tell whether a delivered pulse blanks this sample; pulses are kept in order of time, newest last."""
    core = s.core[0]
    for k in range(1, min(core.n_delivered, s.delivered.size) + 1):
        pulse = s.delivered[(core.n_delivered - k) % s.delivered.size].sample_index
        if pulse + core.blank <= sample:
            return False
        if pulse <= sample:
            return True
    return False


@inner
def touches_blank(s: EngineState, start: int, stop: int) -> bool:
    """Tell whether any sample of [start, stop) is blanked."""
    core = s.core[0]
    for k in range(1, min(core.n_delivered, s.delivered.size) + 1):
        pulse = s.delivered[(core.n_delivered - k) % s.delivered.size].sample_index
        if pulse + core.blank <= start:
            return False
        if pulse < stop:
            return True
    return False


@inner
def find(s: EngineState, samples: Samples, start: int) -> int:
    """Detect spikes in a span; each blanked row is replaced by the last clean one, which keeps the filter calm."""
    held, n = s.held, samples.shape[0]
    if not touches_blank(s, start, start + n):
        copy_row(held, 0, samples, n - 1)
        return detect(s.detector, samples, start, s.found, 0)
    for t in range(n):
        if is_blank(s, start + t):
            copy_row(held, 1 + t, held, t)
        else:
            copy_row(held, 1 + t, samples, t)
    copy_row(held, 0, held, n)
    return detect(s.detector, held[1 : 1 + n], start, s.found, 0)


@inner
def copy_row(to: Samples, i: int, source: Samples, j: int) -> None:
    """Copy one row, written out: an array assignment costs up to 2 s of compilation in each function that has one."""
    for c in range(source.shape[1]):
        to[i, c] = source[j, c]
