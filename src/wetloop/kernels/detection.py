"""Online spike detection: causal band-pass, noise estimate, threshold and peak search, as samples arrive.

Channels are taken in tiles of one vector. The filter states of a tile stay in registers for a call, its filtered signal
stays in the first-level cache, and only channels with a crossing, an open search or a value at a rail are looked at one
by one. How the samples are cut into calls changes no bit: everything is carried over, and the noise estimate changes
only at the ends of frames, which lie at multiples of ``frame_samples``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from wetloop.kernels import simd
from wetloop.kernels.jit import inner, kernel
from wetloop.kernels.simd import LANES

if TYPE_CHECKING:
    import numpy.typing as npt

    from wetloop.kernels.simd import Vector

    Samples: TypeAlias = npt.NDArray[np.int16]
    Records: TypeAlias = npt.NDArray[np.void]
    Floats: TypeAlias = npt.NDArray[np.float32]

SIGMA, TOTAL, GAIN, PLANES = 4, 5, 6, 7
"""Rows of ``Detector.planes``; the filter states are rows 0 to 3."""

AHEAD = 4 * LANES
"""Channels between a sample and the one of its row that is asked for in advance: two cache lines."""
LOW_RAIL, HIGH_RAIL = -32768, 32767
CLIP_SIGMA, CLIPPED_MEAN = np.float32(1.5), 0.7392709732776562
"""Where magnitudes are clipped for the noise estimate, and E[min(|z|, c)] = sqrt(2 / pi) (1 - exp(-c^2 / 2)) +
c erfc(c / sqrt(2)) of normal noise clipped there; spikes then bias sigma about as little as they bias a median."""

CORE = np.dtype(
    [
        ("a11", "<f4"), ("a12", "<f4"), ("a21", "<f4"), ("a22", "<f4"),
        ("threshold_sigma", "<f4"), ("sigma_floor_uv", "<f4"), ("smoothing", "<f4"), ("n_channels", "<i4"),
        ("peak_samples", "<i4"), ("lockout_samples", "<i4"), ("ring_samples", "<i4"), ("frame_samples", "<i4"),
        ("retrigger", "<f4"), ("reserved", "<i4"),
        ("warm_up_frames", "<i8"), ("n_frames", "<i8"), ("n_dropped", "<i8"),
        ("start_sample", "<i8"), ("row", "<i8"), ("n_pending", "<i8"),
    ]
)  # fmt: skip
"""Negated feedback coefficients of the two biquads and settings (a jump over the whole range rings below any threshold
after ``ring_samples``); frames seen, and events that found no room; of the call at hand the first sample, its place in
the frame, and the number of pending events."""

CHANNEL = np.dtype(
    [
        ("known_sample", "<i8"), ("peak_sample", "<i8"), ("peak_uv", "<f8"),
        ("rail_sample", "<i8"), ("n_saturated", "<i8"),
    ]
)  # fmt: skip
"""End and lowest value of the last or open peak search, last sample at a rail, and number of events refused for one."""


class Detector(NamedTuple):
    """All state of an array's detection; after the same samples and frames it holds the same bytes.

    The last tile ends at the last channel, so that nothing beyond a row is read; the channels that it shares with the
    tile before have gain 0 in it.
    """

    core: Records
    """One record, dtype ``CORE``."""
    planes: Floats
    """float32, shape (PLANES, n_tiles * LANES): four filter states, sigma in uV, sum of clipped magnitudes of the frame
    in uV (minus infinity: the frame does not count), gain in uV per bit (0: lane not used)."""
    channels: Records
    """Searches, dtype ``CHANNEL``, shape (n_channels,)."""
    busy: npt.NDArray[np.int64]
    """Open searches: bit k is set if channel k of the tile is in one, shape (n_tiles,)."""
    filtered: Floats
    """Filtered signal of the tile at hand, uV, shape (frame_samples, LANES)."""
    padded: Samples
    """Samples of an array with fewer than LANES channels, shape (frame_samples, LANES)."""
    pending: Records
    """Events in order of channel, dtype ``SPIKE``, as many as a frame can hold; 0 between calls."""
    places: npt.NDArray[np.int64]
    """Where in ``found`` the events of each sample go, shape (frame_samples + 1,); 0 between calls."""


@inner
def biquad(x: Vector, a1: Vector, a2: Vector, p: Vector, q: Vector) -> tuple[Vector, Vector, Vector]:
    """Advance a biquad with zeros at +1 and -1 by one sample; return its output and its two new states.

    Transposed direct form II; the numerator (1, 0, -1) costs nothing, and ``a1`` and ``a2`` come negated.
    """
    y = simd.add(x, p)
    return y, simd.fma(a1, y, q), simd.fms(a2, y, x)


@inner
def filter_tile(core: Any, planes: Floats, filtered: Floats, samples: Samples, column: int, slot: int) -> int:
    """Filter the LANES channels from ``column`` on, whose planes start at ``slot``.

    Return flags: bit k is set if channel k crossed its threshold, bit LANES + k if it was at a rail.
    """
    (n_samples, stride), width = samples.shape, planes.shape[1]
    a11, a12, a21, a22 = simd.splat(core.a11), simd.splat(core.a12), simd.splat(core.a21), simd.splat(core.a22)
    p, q = simd.load(planes, slot), simd.load(planes, width + slot)
    r, s = simd.load(planes, 2 * width + slot), simd.load(planes, 3 * width + slot)
    clip = simd.mul(simd.splat(CLIP_SIGMA), simd.load(planes, SIGMA * width + slot))
    total, gain = simd.load(planes, TOTAL * width + slot), simd.load(planes, GAIN * width + slot)
    trough = low = high = simd.splat(np.float32(0))
    i, o = column, core.row * LANES
    for _ in range(n_samples):
        simd.prefetch(samples, i + AHEAD)
        x = simd.load_int16(samples, i)
        low, high = simd.minimum(low, x), simd.maximum(high, x)
        v, p, q = biquad(simd.mul(gain, x), a11, a12, p, q)
        y, r, s = biquad(v, a21, a22, r, s)
        simd.store(filtered, o, y)
        total = simd.add(total, simd.minimum(simd.absolute(y), clip))
        trough = simd.minimum(trough, y)
        i += stride
        o += LANES
    simd.store(planes, slot, p)
    simd.store(planes, width + slot, q)
    simd.store(planes, 2 * width + slot, r)
    simd.store(planes, 3 * width + slot, s)
    simd.store(planes, TOTAL * width + slot, total)
    at_low = simd.mask_lt(low, simd.splat(np.float32(LOW_RAIL + 1)))
    at_high = simd.mask_lt(simd.splat(np.float32(HIGH_RAIL - 1)), high)
    limit = simd.mul(simd.splat(core.threshold_sigma), simd.load(planes, SIGMA * width + slot))
    return int(simd.mask_lt(trough, simd.neg(limit)) | (at_low | at_high) << LANES)


@inner
def conclude(d: Detector, channel: Any, channel_index: int) -> None:
    """Append the event whose search is over to ``pending``, unless it may be the filter's answer to a rail."""
    core = d.core[0]
    if channel.rail_sample + core.peak_samples + core.ring_samples >= channel.known_sample:
        channel.n_saturated += 1
        return
    event = d.pending[core.n_pending]
    event.sample_index, event.known_sample = channel.peak_sample, channel.known_sample
    event.channel_index, event.amplitude_uv = channel_index, channel.peak_uv
    core.n_pending += 1


@inner
def scan_channel(d: Detector, samples: Samples, channel_index: int, lane: int, threshold_uv: float) -> None:
    """Look for events of one channel of the filtered tile.

    A crossing opens a search for the lowest value; the event is known when the search is over, and a lockout follows
    in which only a value that the ringing of this event cannot reach opens the next search.
    """
    core, channel = d.core[0], d.channels[channel_index]
    for t in range(samples.shape[0]):
        y, x, sample_index = d.filtered[core.row + t, lane], samples[t, channel_index], core.start_sample + t
        if not LOW_RAIL < x < HIGH_RAIL:
            channel.rail_sample = sample_index
        if sample_index <= channel.known_sample:
            if y < channel.peak_uv:
                channel.peak_uv, channel.peak_sample = y, sample_index
            if sample_index == channel.known_sample:
                conclude(d, channel, channel_index)
        elif y < threshold_uv:
            locked = sample_index <= channel.known_sample + core.lockout_samples
            if not locked or y < core.retrigger * channel.peak_uv:
                channel.peak_uv, channel.peak_sample = y, sample_index
                channel.known_sample = sample_index + core.peak_samples


@inner
def scan_tile(d: Detector, samples: Samples, tile: int, column: int, flags: int) -> None:
    """Look at those channels of the filtered tile that need it."""
    core, slot, rails = d.core[0], tile * LANES, flags >> LANES
    todo, stop_sample = flags | rails | d.busy[tile], core.start_sample + samples.shape[0]
    k = core.threshold_sigma if core.n_frames >= core.warm_up_frames else np.float32(np.inf)
    d.busy[tile] = 0
    for lane in range(slot - column, min(LANES, core.n_channels - column)):
        if (rails >> lane) & 1:
            d.planes[TOTAL, slot + lane] = -np.inf
        if (todo >> lane) & 1:
            scan_channel(d, samples, column + lane, lane, -(k * d.planes[SIGMA, slot + lane]))
            d.busy[tile] |= np.int64(d.channels[column + lane].known_sample >= stop_sample) << lane


@inner
def detect_tiles(d: Detector, samples: Samples) -> None:
    """Filter and scan one tile after the other; rows of ``samples`` are at least one vector long."""
    core, planes, filtered = d.core[0], d.planes, d.filtered
    for tile in range(d.busy.size):
        column = min(tile * LANES, samples.shape[1] - LANES)
        flags = filter_tile(core, planes, filtered, samples, column, tile * LANES)
        if flags | d.busy[tile]:
            scan_tile(d, samples, tile, column, flags)


@inner
def detect_padded(d: Detector, samples: Samples) -> None:
    """Detect on copied rows: on an array smaller than a vector the last ones would be read past their end."""
    row = d.core[0].row
    for t in range(samples.shape[0]):
        for channel_index in range(samples.shape[1]):
            d.padded[row + t, channel_index] = samples[t, channel_index]
    detect_tiles(d, d.padded[row : row + samples.shape[0]])


@inner
def deliver(d: Detector, found: Records, n_found: int) -> int:
    """Move the pending events to ``found`` in order of known sample and channel, by a counting sort."""
    core, places = d.core[0], d.places
    for i in range(core.n_pending):
        places[d.pending[i].known_sample - core.start_sample + 1] += 1
    for t in range(1, places.size):
        places[t] += places[t - 1]
    for i in range(core.n_pending):
        event = d.pending[i]
        t = event.known_sample - core.start_sample
        if n_found + places[t] < found.size:
            spike = found[n_found + places[t]]
            spike.sample_index, spike.known_sample = event.sample_index, event.known_sample
            spike.channel_index, spike.amplitude_uv = event.channel_index, event.amplitude_uv
        places[t] += 1
        event.sample_index, event.known_sample, event.channel_index, event.amplitude_uv = 0, 0, 0, 0
    for t in range(places.size):
        places[t] = 0
    n_wanted = n_found + core.n_pending
    core.n_dropped += max(0, n_wanted - found.size)
    core.n_pending = 0
    return int(min(found.size, n_wanted))


@kernel
def detect(d: Detector, samples: Samples, start: int, found: Records, n_found: int) -> int:
    """Detect spikes in the next samples of a frame; return the number of records of ``found`` now in use.

    Parameters
    ----------
    d
        State, changed in place.
    samples
        int16, C-contiguous, shape (n_samples, n_channels), not beyond the end of the frame.
    start
        Rig sample index of the first row.
    found, n_found
        Records of dtype ``SPIKE`` of which the first ``n_found`` are kept. The new events follow, ordered by
        ``known_sample`` then ``channel_index``; what finds no room is dropped and counted.
    """
    core, (n_samples, n_channels) = d.core[0], samples.shape
    core.start_sample, core.row = start, start % core.frame_samples
    if n_channels != core.n_channels or core.row + n_samples > core.frame_samples:
        raise ValueError("samples have the wrong number of channels, or cross the end of a frame")
    if n_channels < LANES:
        detect_padded(d, samples)
    else:
        detect_tiles(d, samples)
    if core.n_pending:
        return deliver(d, found, n_found)
    return n_found


@kernel
def end_frame(d: Detector, n_samples: int) -> None:
    """Update the noise at the end of an absolute frame of which ``n_samples`` were seen.

    Sigma follows mean(min(|y|, CLIP_SIGMA sigma)) / CLIPPED_MEAN with exponential smoothing. At first it is the mean
    of all frames, once the transient of a filter that starts on an offset is over. Frames with a value at a rail do
    not count. Filter states near zero are set to zero: subnormal numbers would slow a silent channel down.
    """
    core, planes = d.core[0], d.planes
    core.start_sample = core.row = 0
    if n_samples == 0:
        return
    n_settled = max(0, core.n_frames - core.ring_samples // core.frame_samples)
    weight = max(core.smoothing, 1.0 / (n_settled + 1.0))
    core.n_frames += 1
    keep, scale = np.float32(1.0 - weight), np.float32(weight / (CLIPPED_MEAN * n_samples))
    zero, floor, silence = simd.splat(np.float32(0)), simd.splat(core.sigma_floor_uv), simd.splat(np.float32(1e-15))
    width = planes.shape[1]
    for slot in range(0, width, LANES):
        sigma, total = simd.load(planes, SIGMA * width + slot), simd.load(planes, TOTAL * width + slot)
        mean = simd.fma(simd.splat(keep), sigma, simd.mul(simd.splat(scale), total))
        sigma = simd.maximum(floor, simd.select_lt(total, zero, sigma, mean))
        simd.store(planes, SIGMA * width + slot, sigma)
        simd.store(planes, TOTAL * width + slot, zero)
        for i in range(slot, SIGMA * width, width):
            z = simd.load(planes, i)
            simd.store(planes, i, simd.select_lt(simd.absolute(z), silence, zero, z))
