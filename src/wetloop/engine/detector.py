"""How spikes are detected, as a person configures it, and the making of the compiled detector's state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from wetloop.core.errors import ConfigError
from wetloop.kernels.detection import CHANNEL, CORE, GAIN, PLANES, SIGMA, Detector
from wetloop.kernels.records import NEVER, SPIKE
from wetloop.kernels.simd import LANES

if TYPE_CHECKING:
    import numpy.typing as npt


class DetectionConfig(BaseModel):
    """Negative peaks of the band-passed signal beyond a multiple of each channel's noise."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    threshold_sigma: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Depth of the threshold below zero, in standard deviations of the channel's noise."""
    low_hz: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """Lower edge of the causal second-order Butterworth band-pass, Hz."""
    high_hz: float = Field(default=3000.0, gt=0, allow_inf_nan=False)
    """Upper edge of the band-pass, Hz; below half the sampling frequency."""
    peak_ms: float = Field(default=0.4, gt=0, le=10)
    """Search for the peak after the crossing, ms; the spike is known when it ends."""
    lockout_ms: float = Field(default=1.5, ge=0, le=100)
    """Time after the search in which the channel is not looked at, ms; the causal filter rings this long."""
    retrigger: float = Field(default=0.5, gt=0)
    """Share of the last peak that a new spike must exceed within the lockout, as ringing does not; inf: no spike."""
    noise_ms: float = Field(default=100.0, ge=1, allow_inf_nan=False)
    """Time constant of the noise estimate, ms."""
    warm_up_ms: int = Field(default=500, ge=0)
    """Time at the start in which the noise is measured and no spike is reported, ms."""
    sigma_floor_uv: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    """Least noise assumed, uV, so that a dead channel stays silent."""
    blank_ms: float = Field(default=2.0, ge=0, le=100)
    """Time after the start of a delivered pulse in which the signal is held, ms."""

    @model_validator(mode="after")
    def _check_band(self) -> Self:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz ({self.low_hz:g} Hz) must be below high_hz ({self.high_hz:g} Hz)")
        return self


class BandPass(NamedTuple):
    """Two biquads with numerators (1, 0, -1): feedback coefficients (2, 2), gain, and largest pole radius."""

    feedback: npt.NDArray[np.float64]
    gain: float
    radius: float


def design_band_pass(low_hz: float, high_hz: float, sampling_frequency: float) -> BandPass:
    """Design a second-order Butterworth band-pass.

    It has two zeros at +1 and two at -1; one of each per biquad makes the numerators free of multiplications.
    """
    from scipy.signal import butter

    _, poles, gain = butter(2, [low_hz, high_hz], btype="bandpass", fs=sampling_frequency, output="zpk")
    upper = sorted((pole for pole in poles if pole.imag > 0), key=abs)
    feedback = np.array([(-2 * pole.real, abs(pole) ** 2) for pole in upper])
    return BandPass(feedback, float(gain), float(abs(upper[-1])))


def new_detector(sampling_frequency: float, gain_uv: npt.NDArray[np.float32], config: DetectionConfig) -> Detector:
    """Return the state of a detector that has seen nothing.

    Parameters
    ----------
    sampling_frequency
        Of the rig, Hz.
    gain_uv
        Microvolts per bit, shape (n_channels,); a channel whose gain is NaN never fires.
    config
        Settings.

    Raises
    ------
    ConfigError
        If the band does not fit below half the sampling frequency.
    """
    if config.high_hz >= sampling_frequency / 2:
        raise ConfigError(
            f"detection: high_hz: {config.high_hz:g} Hz is not below {sampling_frequency / 2:g} Hz, half the "
            "sampling frequency of the rig; lower it"
        )
    band_pass = design_band_pass(config.low_hz, config.high_hz, sampling_frequency)
    usable_gain_uv = np.where(np.isfinite(gain_uv), gain_uv, 0)
    n_channels, shape = len(gain_uv), plane_shape(len(gain_uv))
    core = _new_core(sampling_frequency, usable_gain_uv, config, band_pass)
    planes = np.zeros(shape, np.float32)
    planes[SIGMA] = 1e9  # clips nothing until the first frame has been measured
    planes[GAIN, channel_slots(n_channels)] = usable_gain_uv * band_pass.gain
    channels = np.zeros(n_channels, CHANNEL)
    channels["rail_sample"] = channels["known_sample"] = -NEVER
    frame_samples = int(core["frame_samples"][0])
    return Detector(
        core=core,
        planes=planes,
        channels=channels,
        busy=np.zeros(shape[1] // LANES, np.int64),
        filtered=np.zeros((frame_samples, LANES), np.float32),
        padded=np.zeros((frame_samples, LANES), np.int16),
        pending=np.zeros(n_channels * _most_events(core[0]), SPIKE),
        places=np.zeros(frame_samples + 1, np.int64),
    )


def plane_shape(n_channels: int) -> tuple[int, int]:
    """Return the shape of the planes of a detector."""
    return PLANES, -(-n_channels // LANES) * LANES


def channel_slots(n_channels: int) -> npt.NDArray[np.int64]:
    """Return where each channel lies in the planes of a detector, shape (n_channels,)."""
    slots = np.arange(n_channels)
    if n_channels > LANES:
        slots[n_channels // LANES * LANES :] += -n_channels % LANES
    return slots


def noise_uv(detector: Detector) -> npt.NDArray[np.float32]:
    """Return the estimated standard deviation of each channel's noise, uV, shape (n_channels,)."""
    sigma_uv: npt.NDArray[np.float32] = detector.planes[SIGMA, channel_slots(len(detector.channels))]
    return sigma_uv


def usable_noise_uv(
    planes: npt.NDArray[np.float32], n_channels: int, usable: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the same of the ``usable`` channels alone, from the planes; nothing where the rig gives no samples."""
    noise: npt.NDArray[np.float32] = planes[SIGMA, channel_slots(n_channels)[usable]] if planes.size else planes[0]
    return noise


def _most_events(core: np.void) -> int:
    """Return how many events of one channel can become known in one frame."""
    return 1 + (int(core["frame_samples"]) - 1) // (1 + int(core["peak_samples"]))


def _ring_samples(band_pass: BandPass, gain_uv: npt.NDArray[np.float32], config: DetectionConfig) -> int:
    """Return the time in which a jump over the range of int16 decays below the lowest possible threshold."""
    range_uv = 65535 * float(gain_uv.max(initial=0))
    return math.ceil(
        math.log(max(1, range_uv / (config.threshold_sigma * config.sigma_floor_uv))) / -math.log(band_pass.radius)
    )


def _new_core(
    sampling_frequency: float, gain_uv: npt.NDArray[np.float32], config: DetectionConfig, band_pass: BandPass
) -> npt.NDArray[np.void]:
    per_ms = sampling_frequency / 1000
    core = np.zeros(1, CORE)
    for name, value in zip(("a11", "a12", "a21", "a22"), band_pass.feedback.ravel(), strict=True):
        core[name] = -value
    core["threshold_sigma"] = config.threshold_sigma
    core["retrigger"] = config.retrigger
    core["sigma_floor_uv"] = config.sigma_floor_uv
    core["smoothing"] = 1 / config.noise_ms
    core["n_channels"] = len(gain_uv)
    core["peak_samples"] = max(1, round(config.peak_ms * per_ms))
    core["lockout_samples"] = round(config.lockout_ms * per_ms)
    core["ring_samples"] = _ring_samples(band_pass, gain_uv, config)
    core["frame_samples"] = round(per_ms)
    core["warm_up_frames"] = config.warm_up_ms
    return core
