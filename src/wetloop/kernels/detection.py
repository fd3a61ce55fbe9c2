"""Online spike detection: causal band-pass, noise estimate, threshold and peak search, as samples arrive.

Channels are taken in tiles of one vector. The filter states of a tile stay in registers for a call, its
filtered signal stays in the first-level cache, and only channels with a crossing, an open search or a value at
a rail are looked at one by one. How the samples are cut into calls changes no bit: everything is carried over,
and the noise estimate changes at the ends of frames only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from wetloop.kernels import simd
from wetloop.kernels.jit import kernel
from wetloop.kernels.simd import LANES

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.kernels.simd import Vector

    Samples: TypeAlias = npt.NDArray[np.int16]
    Records: TypeAlias = npt.NDArray[np.void]

SIGMA, TOTAL, GAIN, PLANES = 4, 5, 6, 7
"""Rows of ``Detector.planes``; the filter states are rows 0 to 3."""

LOW_RAIL, HIGH_RAIL = -32768, 32767
CROSSED, RAILED = 1, 1 << LANES
"""Flags of the first channel of a tile; those of the k-th are k bits higher."""
ABS_TO_SIGMA = 1.2533141373155001
"""Standard deviation over mean magnitude of normal noise, the root of pi / 2."""
INITIAL_SIGMA_UV = np.float32(1e9)
"""Clips nothing until the first frame has been measured."""
SILENCE = np.float32(1e-15)
"""Filter states below this become 0 at the end of a frame: subnormal numbers would slow a silent channel."""

CORE = np.dtype(
    [
        ("a11", "<f4"), ("a12", "<f4"), ("a21", "<f4"), ("a22", "<f4"),
        ("threshold_sigma", "<f4"), ("sigma_floor_uv", "<f4"), ("smoothing", "<f4"), ("n_channels", "<i4"),
        ("peak_samples", "<i4"), ("lockout_samples", "<i4"), ("ring_samples", "<i4"),
        ("frame_samples", "<i4"), ("warm_up_frames", "<i8"),
        ("n_frames", "<i8"), ("n_dropped", "<i8"), ("row", "<i8"),
    ]
)  # fmt: skip
"""Negated feedback coefficients of the two biquads and settings, then frames seen, events that found no room, and
samples since the frame began. A jump over the whole range rings below any threshold after ``ring_samples``."""

CHANNEL = np.dtype(
    [("phase", "<i4"), ("peak_uv", "<f4"), ("peak_sample", "<i8"), ("rail_sample", "<i8"), ("n_saturated", "<i8")]
)  # fmt: skip
"""``phase`` > 0 counts the samples left of a peak search, < 0 those left of the lockout after it;
``rail_sample`` is the last sample at a rail, ``n_saturated`` the number of events refused because of one."""


class Detector(NamedTuple):
    """All state of an array's detection; after the same samples and frames it holds the same bytes.

    Attributes
    ----------
    core
        One record of dtype ``CORE``.
    planes
        float32, shape (PLANES, n_tiles * LANES): four filter states, sigma in uV, sum of clipped magnitudes of
        the frame in uV (minus infinity: the frame does not count), gain in uV per bit (0: channel not used).
    channels
        Records of dtype ``CHANNEL``, shape (n_channels,).
    busy
        Whether a channel of a tile is in a search or lockout, int64, shape (n_tiles,).
    filtered
        Filtered signal in uV of the tile at hand, float32, shape (frame_samples, LANES).
    padded
        Rows of a tile that cannot be read in place, int16, shape (frame_samples, LANES); 0 between calls.
    pending
        Events in order of channel, dtype ``SPIKE``, as many as a frame can hold; 0 between calls.
    places
        Where the events of each sample go, int64, shape (frame_samples + 1,); 0 between calls.
    """

    core: Records
    planes: npt.NDArray[np.float32]
    channels: Records
    busy: npt.NDArray[np.int64]
    filtered: npt.NDArray[np.float32]
    padded: Samples
    pending: Records
    places: npt.NDArray[np.int64]


@kernel
def biquad(x: Vector, a1: Vector, a2: Vector, p: Vector, q: Vector) -> tuple[Vector, Vector, Vector]:
    """Advance a biquad with zeros at +1 and -1 by one sample; return its output and its two new states.

    Transposed direct form II; the numerator (1, 0, -1) costs nothing, and ``a1`` and ``a2`` come negated.
    """
    y = simd.add(x, p)
    return y, simd.fma(a1, y, q), simd.fms(a2, y, x)


@kernel
def filter_tile(d: Detector, samples: Samples, first: int, n_samples: int, column: int, row: int) -> int:
    """Filter rows of a tile, from element ``first`` of ``samples`` on, into ``filtered`` from ``row`` on.

    Return flags: bit k is set if channel k crossed its threshold, bit LANES + k if it was at a rail.
    """
    planes, filtered, core = d.planes, d.filtered, d.core[0]
    stride, width = samples.shape[1], planes.shape[1]
    a11, a12, a21, a22 = (
        simd.splat(core.a11),
        simd.splat(core.a12),
        simd.splat(core.a21),
        simd.splat(core.a22),
    )
    p, q = simd.load(planes, column), simd.load(planes, width + column)
    r, s = simd.load(planes, 2 * width + column), simd.load(planes, 3 * width + column)
    limit = simd.mul(simd.splat(core.threshold_sigma), simd.load(planes, SIGMA * width + column))
    total, gain = simd.load(planes, TOTAL * width + column), simd.load(planes, GAIN * width + column)
    trough = low = high = simd.splat(np.float32(0))
    i, o = first, row * LANES
    for _ in range(n_samples):
        simd.prefetch(samples, i + LANES)
        x = simd.load_int16(samples, i)
        low, high = simd.minimum(low, x), simd.maximum(high, x)
        v, p, q = biquad(simd.mul(gain, x), a11, a12, p, q)
        y, r, s = biquad(v, a21, a22, r, s)
        simd.store(filtered, o, y)
        total = simd.add(total, simd.minimum(simd.absolute(y), limit))
        trough = simd.minimum(trough, y)
        i += stride
        o += LANES
    simd.store(planes, column, p)
    simd.store(planes, width + column, q)
    simd.store(planes, 2 * width + column, r)
    simd.store(planes, 3 * width + column, s)
    simd.store(planes, TOTAL * width + column, total)
    at_low = simd.mask_lt(low, simd.splat(np.float32(LOW_RAIL + 1)))
    at_high = simd.mask_lt(simd.splat(np.float32(HIGH_RAIL - 1)), high)
    return int(simd.mask_lt(trough, simd.neg(limit)) | (at_low | at_high) << LANES)


@kernel
def filter_padded(d: Detector, samples: Samples, first_row: int, column: int) -> int:
    """Filter the rows of the last tile from ``first_row`` on: whole vectors would be read past their end."""
    n_samples, n_used = samples.shape[0], min(LANES, samples.shape[1] - column)
    for t in range(first_row, n_samples):
        for lane in range(n_used):
            d.padded[t, lane] = samples[t, column + lane]
    row = d.core[0].row + first_row
    flags = filter_tile(d, d.padded, first_row * LANES, n_samples - first_row, column, row)
    for t in range(first_row, n_samples):
        for lane in range(n_used):
            d.padded[t, lane] = 0
    return flags


@kernel
def filter_rows(d: Detector, samples: Samples, column: int) -> int:
    """Filter all rows of a tile, in place where that is possible; return its flags."""
    n_samples, n_channels = samples.shape
    in_place = min(n_samples, max(0, (n_samples * n_channels - column - LANES) // n_channels + 1))
    flags = filter_tile(d, samples, column, in_place, column, d.core[0].row)
    if in_place < n_samples:
        used = (1 << min(LANES, n_channels - column)) - 1
        flags = (flags | filter_padded(d, samples, in_place, column)) & (used | used << LANES)
    return flags


@kernel
def scan_channel(
    d: Detector, samples: Samples, channel_index: int, start: int, threshold_uv: float, n_pending: int
) -> int:
    """Append the events of one channel of the filtered tile to ``pending``; return their number.

    A crossing opens a search for the lowest value; the event is known when the search is over, and a lockout
    follows. An event that may be the filter's answer to a value at a rail is counted and refused.
    """
    core, channel = d.core[0], d.channels[channel_index]
    lane, memory = channel_index % LANES, core.peak_samples + core.ring_samples
    phase, peak_uv, peak_sample = channel.phase, channel.peak_uv, channel.peak_sample
    for t in range(samples.shape[0]):
        y, x = d.filtered[core.row + t, lane], samples[t, channel_index]
        if not LOW_RAIL < x < HIGH_RAIL:
            channel.rail_sample = start + t
        if phase > 0:
            if y < peak_uv:
                peak_uv, peak_sample = y, start + t
            phase -= 1
            if phase == 0:
                phase = -core.lockout_samples
                if channel.rail_sample + memory >= start + t:
                    channel.n_saturated += 1
                    continue
                event = d.pending[n_pending]
                event.sample_index, event.known_sample = peak_sample, start + t
                event.channel_index, event.amplitude_uv = channel_index, peak_uv
                n_pending += 1
        elif phase < 0:
            phase += 1
        elif y < threshold_uv:
            peak_uv, peak_sample, phase = y, start + t, core.peak_samples
    channel.phase, channel.peak_uv, channel.peak_sample = phase, peak_uv, peak_sample
    return n_pending


@kernel
def scan_tile(d: Detector, samples: Samples, column: int, flags: int, start: int, n_pending: int) -> int:
    """Look at the channels of a tile that need it; return the number of pending events."""
    core = d.core[0]
    busy = False
    k = core.threshold_sigma if core.n_frames >= core.warm_up_frames else np.float32(np.inf)
    for channel_index in range(column, min(column + LANES, core.n_channels)):
        channel, flag = d.channels[channel_index], flags >> (channel_index - column)
        if flag & RAILED:
            d.planes[TOTAL, channel_index] = -np.inf
        if channel.phase > 0 or flag & (CROSSED | RAILED):
            threshold_uv = -(k * d.planes[SIGMA, channel_index])
            n_pending = scan_channel(d, samples, channel_index, start, threshold_uv, n_pending)
        else:
            channel.phase = min(0, channel.phase + samples.shape[0])
        busy |= channel.phase != 0
    d.busy[column // LANES] = busy
    return n_pending


@kernel
def deliver(d: Detector, start: int, n_pending: int, found: Records, n_found: int) -> int:
    """Move the pending events to ``found`` in order of known sample and channel, by a counting sort."""
    for i in range(n_pending):
        d.places[d.pending[i].known_sample - start + 1] += 1
    for t in range(1, d.places.size):
        d.places[t] += d.places[t - 1]
    for i in range(n_pending):
        event = d.pending[i]
        place = n_found + d.places[event.known_sample - start]
        d.places[event.known_sample - start] += 1
        if place < found.size:
            spike = found[place]
            spike.sample_index, spike.known_sample = event.sample_index, event.known_sample
            spike.channel_index, spike.amplitude_uv = event.channel_index, event.amplitude_uv
        event.sample_index, event.known_sample, event.channel_index, event.amplitude_uv = 0, 0, 0, 0
    for t in range(d.places.size):
        d.places[t] = 0
    d.core[0].n_dropped += max(0, n_found + n_pending - found.size)
    return min(found.size, n_found + n_pending)


@kernel
def detect(d: Detector, samples: Samples, start: int, found: Records, n_found: int) -> int:
    """Detect spikes in the next samples of a frame.

    Parameters
    ----------
    d
        State, changed in place.
    samples
        int16, C-contiguous, shape (n_samples, n_channels), not beyond the end of the frame.
    start
        Rig sample index of the first row.
    found
        Records of dtype ``SPIKE``; the first ``n_found`` are kept, and the new events follow, ordered by
        ``known_sample`` then ``channel_index``. Events that find no room are dropped and counted.
    n_found
        Number of records in use.

    Returns
    -------
    int
        Number of records now in use.
    """
    core = d.core[0]
    if samples.shape[1] != core.n_channels or core.row + samples.shape[0] > core.frame_samples:
        raise ValueError("samples have the wrong number of channels, or cross the end of a frame")
    n_pending = 0
    for tile in range(d.busy.size):
        flags = filter_rows(d, samples, tile * LANES)
        if flags | d.busy[tile]:
            n_pending = scan_tile(d, samples, tile * LANES, flags, start, n_pending)
    core.row += samples.shape[0]
    return deliver(d, start, n_pending, found, n_found) if n_pending else n_found


@kernel
def end_frame(d: Detector, n_samples: int) -> None:
    """Update the noise at the end of an absolute frame of which ``n_samples`` were seen.

    Sigma follows 1.2533 * mean(min(|y|, k sigma)) with exponential smoothing; clipping at the threshold keeps
    the spikes out of it. At first it is the mean of all frames, once the transient of a filter that starts on
    an offset is over. Frames with a value at a rail do not count.
    """
    core, planes = d.core[0], d.planes
    core.row = 0
    if n_samples == 0:
        return
    n_settled = max(0, core.n_frames - core.ring_samples // core.frame_samples)
    weight = max(core.smoothing, 1.0 / (n_settled + 1.0))
    core.n_frames += 1
    keep, scale = (
        simd.splat(np.float32(1.0 - weight)),
        simd.splat(np.float32(weight * ABS_TO_SIGMA / n_samples)),
    )
    zero, floor, silence = simd.splat(np.float32(0)), simd.splat(core.sigma_floor_uv), simd.splat(SILENCE)
    width = planes.shape[1]
    for column in range(0, width, LANES):
        sigma, total = simd.load(planes, SIGMA * width + column), simd.load(planes, TOTAL * width + column)
        updated = simd.fma(keep, sigma, simd.mul(scale, total))
        simd.store(
            planes, SIGMA * width + column, simd.maximum(floor, simd.select_lt(total, zero, sigma, updated))
        )
        simd.store(planes, TOTAL * width + column, zero)
        for state in range(SIGMA):
            z = simd.load(planes, state * width + column)
            simd.store(planes, state * width + column, simd.select_lt(simd.absolute(z), silence, zero, z))
