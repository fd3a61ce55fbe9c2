"""Plays the spikes of a recording through the loop; what is stimulated goes nowhere.

Two kinds of HDF5 file are understood: Wetloop's own NWB recordings, and spike lists in the layout of the
cultures of Charlesworth et al. (Neural Development 2015): ``spikes`` in s, channel after channel, ``sCount``
spikes of each channel, ``epos`` positions in um, ``recordingtime`` start and stop in s.
The clock starts at 0 where playing starts. ``ablation`` plays other spikes in place of those, drawn once per session:
every lap of a loop is the same.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from wetloop.core.errors import ConfigError
from wetloop.core.layout import probe_at
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import SourceConfig, seeded
from wetloop.core.types import Block, RigInfo, Signal
from wetloop.kernels.records import SPIKE
from wetloop_drivers.ablations import Ablation, ablated

if TYPE_CHECKING:
    import h5py
    import numpy.typing as npt

    from wetloop.core.guard import PatternTable
    from wetloop.core.types import Records

SPIKE_LIST_HZ = 25_000.0
"""Clock given to spike lists, which hold seconds: the grid on which the times of those cultures lie."""
CONTACT_UM = 30.0
"""Diameter of the contacts: that of the usual 60-electrode array."""
LIMITS = StimLimits(
    max_amplitude_mv=900, max_charge_nc=4, max_charge_density_uc_cm2=900, max_imbalance=0.001,
    max_electrodes=32, min_interval_ms=4, max_rate_hz=100, max_array_rate_hz=400,
)  # fmt: skip
"""A protocol that is tried out on a recording meets the limits of a usual rig."""
ACCESS_KOHM = 12.0
"""Spreading resistance of such a contact in saline: 0.72 ohm m over twice its diameter (Newman 1966)."""


class RecordedConfig(SourceConfig):
    """A recording instead of a rig."""

    kind: Literal["recorded"] = "recorded"
    path: str
    """File to play."""
    loop: bool = False
    """Start over at the end; otherwise the session ends there."""
    start_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Where to start in the recording, s."""
    stop_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Where to stop in the recording, s; by default at its end."""
    packet_ms: float = Field(1.0, gt=0, allow_inf_nan=False)
    """What is delivered at once, ms."""
    ablation: Ablation = "none"
    """What is taken away from the recorded activity: poisson keeps rates, shuffled_channels the times of spikes,
    shuffled_time the intervals of each channel, silence nothing."""
    ablation_bin_s: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Bins in which poisson keeps the rate of each channel, s."""
    trust: bool = False
    """Read the file even where it leads into other files or declares absurd sizes."""

    @model_validator(mode="after")
    def _start_before_stop(self) -> Self:
        if self.stop_s is not None and self.stop_s <= self.start_s:
            raise ValueError(f"stop_s {self.stop_s:g} s is not after start_s {self.start_s:g} s")
        return self

    def build(self, seed: int) -> RecordedSource:
        return RecordedSource(self, seeded(seed, "source ablation"))


class RecordedSource:
    """Source of recorded spikes, and a stimulator without a culture."""

    def __init__(self, config: RecordedConfig, rng: np.random.Generator) -> None:
        self._config, self._rng, self._path = config, rng, Path(config.path).expanduser()
        with _opened(self._path, trusted=config.trust) as file:
            recording = _describe(file)
        self._start, self._n_samples = _section(config, recording)
        self.info = _info(recording, config.packet_ms)
        self._silence = np.empty((0, self.info.n_channels), np.int16)
        self._spikes: Records = np.empty(0, SPIKE)
        self._position = self._lap_start = self._next = 0

    def open(self) -> None:
        with _opened(self._path, trusted=self._config.trust) as file:
            spikes = _read_spikes(file)
        for field in ("sample_index", "known_sample"):
            spikes[field] -= self._start
        inside = (spikes["known_sample"] >= 0) & (spikes["known_sample"] < self._n_samples)
        bin_samples = max(1, round(self._config.ablation_bin_s * self.info.sampling_frequency))
        spikes = ablated(spikes[inside], self._config.ablation, self._n_samples, bin_samples, self._rng)
        self._spikes = spikes[np.lexsort((spikes["channel_index"], spikes["known_sample"]))]

    def read(self) -> Block:
        if self._position == self._n_samples:
            self._start_over()
        start = self._lap_start + self._position
        stop = min(self._position + self.info.packet_samples, self._n_samples)
        block = Block(start, stop - self._position, self._silence, self._take(stop))
        self._position = stop
        return block

    def prepare(self, table: PatternTable) -> None:
        _ = table

    def trigger(self, pattern: int, at_sample: int) -> None:
        _ = pattern, at_sample

    def silence(self) -> None:
        pass

    def close(self) -> None:
        self._spikes = self._spikes[:0]

    def _start_over(self) -> None:
        if not self._config.loop:
            raise EOFError(f"{self._path} has been played to its end")
        self._lap_start += self._n_samples
        self._position = self._next = 0

    def _take(self, stop: int) -> Records:
        """Return the spikes that are known before ``stop`` and not yet delivered, on the rig's clock."""
        end = int(np.searchsorted(self._spikes["known_sample"], stop))
        spikes = self._spikes[self._next : end].copy()
        self._next = end
        for field in ("sample_index", "known_sample"):
            spikes[field] += self._lap_start
        return spikes


class _Recording(NamedTuple):
    """What a file says of itself; positions in um, shape (n_channels, 2)."""

    positions_um: npt.NDArray[np.float64]
    sampling_frequency: float
    start_sample: int
    stop_sample: int


def _section(config: RecordedConfig, recording: _Recording) -> tuple[int, int]:
    """Return the first sample to play and how many."""
    begin, end, rate = recording.start_sample, recording.stop_sample, recording.sampling_frequency
    start = begin + round(config.start_s * rate)
    stop = end if config.stop_s is None else min(end, begin + round(config.stop_s * rate))
    if start >= stop:
        raise ConfigError(
            f"source.start_s: {config.path} is {(end - begin) / rate:g} s long, but playing should start at "
            f"{config.start_s:g} s: choose an earlier start"
        )
    return start, stop - start


def _info(recording: _Recording, packet_ms: float) -> RigInfo:
    rate = recording.sampling_frequency
    packet = max(1, round(packet_ms * rate / 1000))
    return RigInfo(
        name="recorded",
        sampling_frequency=rate,
        probe=probe_at(recording.positions_um, CONTACT_UM),
        signal=Signal.SPIKES,
        gain_uv=np.ones(len(recording.positions_um), np.float32),
        packet_samples=packet,
        lead_samples=packet + round(rate / 1000),
        unit="mV",
        limits=LIMITS,
        electrode_area_um2=math.pi * (CONTACT_UM / 2) ** 2,
        access_resistance_kohm=ACCESS_KOHM,
        reacts=False,
    )


def _opened(path: Path, *, trusted: bool) -> h5py.File:
    import h5py

    from wetloop.core import hdf5

    if not path.is_file():
        raise ConfigError(f"source.path: there is no file {path}: give the path of a recording")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ConfigError(f"source.path: {path} cannot be read as HDF5 ({error}): give another file") from error
    fault = None if trusted else hdf5.fault_in(file)
    if fault:
        file.close()
        raise ConfigError(f"source.path: {path}: {fault}: give another file, or set source.trust to true")
    return file


def _is_ours(file: h5py.File) -> bool:
    return "events/detected_spikes" in file


def _describe(file: h5py.File) -> _Recording:
    if _is_ours(file):
        return _describe_nwb(file)
    start_s, stop_s = _column(file, "recordingtime")
    where = _column(file, "epos").T
    return _Recording(where.astype(np.float64), SPIKE_LIST_HZ, 0, math.floor((stop_s - start_s) * SPIKE_LIST_HZ) + 1)


def _read_spikes(file: h5py.File) -> Records:
    return _read_nwb(file) if _is_ours(file) else _read_spike_list(file)


def _read_spike_list(file: h5py.File) -> Records:
    """Return the spikes with amplitude 0, which such a file does not hold; they are known at once."""
    times_s, counts = _column(file, "spikes"), _column(file, "sCount")
    if counts.sum() != len(times_s):
        raise ConfigError(f"{file.filename}: sCount adds up to {counts.sum()} spikes, but there are {len(times_s)}")
    spikes = np.zeros(len(times_s), SPIKE)
    start_s = _column(file, "recordingtime")[0]
    spikes["sample_index"] = spikes["known_sample"] = np.rint((times_s - start_s) * SPIKE_LIST_HZ)
    spikes["channel_index"] = np.repeat(np.arange(len(counts)), counts)
    return spikes


def _describe_nwb(file: h5py.File) -> _Recording:
    electrodes = "general/extracellular_ephys/electrodes"
    where = np.column_stack([_column(file, f"{electrodes}/rel_x"), _column(file, f"{electrodes}/rel_y")])
    rate = float(json.loads(_column(file, "scratch/rig"))["sampling_frequency"])
    starts = _column(file, "acquisition/loop_timing/start_sample")
    lengths = _column(file, "acquisition/loop_timing/n_samples")
    if not len(starts):
        raise ConfigError(f"source.path: {file.filename} holds no data: the session ended before its first block")
    return _Recording(where.astype(np.float64), rate, int(starts[0]), int(starts[-1] + lengths[-1]))


def _read_nwb(file: h5py.File) -> Records:
    columns = {
        "sample_index": "sample_index", "known_sample": "known_sample",
        "channel_index": "electrode", "amplitude_uv": "amplitude_uv",
    }  # fmt: skip
    values = {field: _column(file, f"events/detected_spikes/{name}") for field, name in columns.items()}
    spikes = np.zeros(len(values["sample_index"]), SPIKE)
    for field, value in values.items():
        spikes[field] = value
    return spikes


def _column(file: h5py.File, name: str) -> Any:
    """Return a whole dataset."""
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise ConfigError(
            f"source.path: {file.filename} holds no {name!r}: give a Wetloop recording, or a spike list with "
            "spikes, sCount, epos and recordingtime"
        )
    return found[()]
