"""What can be set of the simulated culture and of the Poisson source; cheap to import."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationInfo, model_validator

from wetloop.core.errors import ConfigError
from wetloop.core.plugin import PlasticityConfig, SourceConfig
from wetloop.culture.plasticity_config import OffConfig

if TYPE_CHECKING:
    from wetloop.culture.poisson import PoissonSource
    from wetloop.culture.rig import SimulatedCulture

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


def _by_kind(value: object, info: ValidationInfo) -> object:
    """Validate a rule with the model of its kind; what loads the configuration lends the means to find it."""
    if isinstance(value, PlasticityConfig):
        return value
    if value is False or isinstance(value, str):  # a bare off is false in YAML
        value = {"kind": value or "off"}
    if not isinstance(value, dict) or "kind" not in value:
        raise ValueError("a rule is a mapping with a kind, such as {kind: three-factor}")
    kind = str(value["kind"] or "off")
    if kind == "off":
        return OffConfig.model_validate(value | {"kind": kind})
    if not info.context:
        raise ValueError("kinds are known where a configuration is loaded; elsewhere give the rule as an object")
    try:
        model = info.context["find"]("wetloop.plasticity", kind)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return model.model_validate(value)


PlasticityChoice = Annotated[SerializeAsAny[PlasticityConfig], BeforeValidator(_by_kind)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ProbeConfig(_Model):
    """A rectangular electrode array."""

    columns: int = Field(8, ge=1)
    """Electrodes along x."""
    rows: int = Field(8, ge=1)
    """Electrodes along y."""
    pitch_um: Positive = 200.0
    """Distance between neighbours, um."""
    diameter_um: Positive = 30.0
    """Diameter of an electrode, um."""


class NetworkConfig(_Model):
    """Cells and synapses.

    The values were searched on cultures of seeds 1 to 32 and 441 to 452 so that the spikes at the electrodes agree with
    mouse cortex at 21 days in vitro (Charlesworth et al. 2015), that excitatory and inhibitory cells do not differ too
    much in rate, and that pulses spread over the array quiet network bursts. Slow, strong adaptation and a slow drift
    of excitability do that here. Potentials are in mV above rest; a weight is the peak drive of a synapse: eight times
    its peak EPSP.
    """

    excitatory_share: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Share of excitatory cells."""
    margin_um: NotNegative = 200.0
    """How far the dish reaches beyond the outermost electrodes, um."""
    synapses_per_cell: int = Field(80, ge=1)
    """Outgoing synapses of each cell, on different targets."""
    wiring_length_mm: Positive = 0.7
    """Targets are drawn with probability exp(-distance / length), mm."""
    inhibitory_length_share: Positive = 0.5
    """Wiring length of inhibitory cells over that of excitatory ones."""
    long_range_share: Share = 0.25
    """Share of an excitatory cell's synapses drawn regardless of distance."""
    axon_speed_mm_per_ms: Positive = 0.3
    """Conduction velocity, mm/ms."""
    synapse_delay_ms: NotNegative = 1.0
    """Delay of a synapse beside conduction, ms."""
    membrane_tau_e_ms: Positive = 20.0
    """Membrane time constant of excitatory cells, ms."""
    membrane_tau_i_ms: Positive = 10.0
    """Membrane time constant of inhibitory cells, ms."""
    threshold_mv: Positive = 15.0
    """Mean firing threshold, mV."""
    threshold_spread_mv: NotNegative = 1.5
    """Standard deviation of thresholds over cells, mV."""
    refractory_e_ms: int = Field(3, ge=0)
    """Refractory time of excitatory cells, ms."""
    refractory_i_ms: int = Field(2, ge=0)
    """Refractory time of inhibitory cells, ms."""
    weight_ee_mv: NotNegative = 6.64
    """Mean weight from excitatory to excitatory cells, mV."""
    weight_ei_mv: NotNegative = 5.79
    """Mean weight from excitatory to inhibitory cells, mV."""
    weight_ie_mv: NotNegative = 17.6
    """Mean weight from inhibitory to excitatory cells, mV."""
    weight_ii_mv: NotNegative = 14.56
    """Mean weight from inhibitory to inhibitory cells, mV."""
    weight_spread: NotNegative = 0.5
    """Standard deviation of weights over their mean."""
    weight_max_mv: Positive = 50.0
    """Largest weight, mV."""
    ampa_tau_ms: Positive = 4.0
    """Decay of fast excitation, ms."""
    gaba_tau_ms: Positive = 8.0
    """Decay of inhibition, ms."""
    slow_tau_ms: Positive = 76.52
    """Decay of slow (NMDA-like) excitation, ms."""
    slow_share: NotNegative = 0.169
    """Peak of the slow excitation over that of the fast one."""
    adaptation_mv: NotNegative = 13.28
    """Adaptation added by each spike of an excitatory cell, mV."""
    adaptation_tau_ms: Positive = 3196.0
    """Decay of adaptation, ms."""
    depression_share: Share = 0.082
    """Share of synaptic resource used by each spike of an excitatory cell."""
    depression_tau_ms: Positive = 2325.0
    """Recovery of synaptic resource, ms."""
    mini_rate_hz: NotNegative = 60.0
    """Miniature events per cell, Hz."""
    mini_mv: NotNegative = 1.29
    """Size of a miniature event, as a weight, mV."""
    bias_mv: float = 8.33
    """Mean tonic drive, mV; the upper tail of its spread makes pacemaker cells."""
    bias_spread_mv: NotNegative = 5.39
    """Standard deviation of the tonic drive over cells, mV."""
    bias_inhibitory_mv: float = -7.2
    """Added to the tonic drive of inhibitory cells, mV."""
    drift_mv: NotNegative = 5.27
    """Standard deviation of the excitability that excitatory cells share (Ornstein-Uhlenbeck), mV."""
    drift_tau_ms: Positive = 3681.0
    """Correlation time of that drift, ms."""


class ElectrodeConfig(_Model):
    """What an electrode sees of the cells around it."""

    noise_uv: NotNegative = 5.0
    """Noise of the recording, uV rms (published values 2 to 8)."""
    amplitude_uv: Positive = 84.0
    """Median spike amplitude of a cell that lies on the electrode, uV; log-normal over cells."""
    amplitude_spread: NotNegative = 0.5
    """Standard deviation of the logarithm of the amplitude."""
    half_distance_um: Positive = 40.0
    """Distance over which the amplitude halves, um (published values 30 to 50)."""
    threshold_sigma: Positive = 5.0
    """Spikes signal: a spike is seen where noise leaves it over this many times the noise."""
    gain_uv: Positive = 0.195
    """Samples signal: microvolts per bit."""


class StimulationConfig(_Model):
    """How pulses act on cells and amplifiers.

    A pulse fires a cell at distance d of an electrode with probability exp(-(d / r)^2). The radius r grows as a power
    of the pulse's strength. Strength is amplitude times ``(1 + chronaxie / reference_phase) / (1 + chronaxie / phase)``
    (Weiss 1901; Lapicque 1907), for the more effective phase.
    """

    radius_mm: Positive = 0.16
    """Recruitment radius at the reference strength, mm."""
    radius_at_double_mm: Positive = 0.245
    """Recruitment radius at twice the reference strength, mm."""
    reference_mv: Positive = 75.0
    """Reference strength: amplitude, mV, ..."""
    reference_phase_us: Positive = 200.0
    """... and width of a phase, us."""
    chronaxie_us: NotNegative = 200.0
    """Chronaxie of the elements that are excited, us; axons have 30 to 700 (Ranck 1975)."""
    artefact_share: NotNegative = 1.0
    """Artefact on the stimulated electrode over the amplitude of the pulse; elsewhere it falls with distance."""
    artefact_decay_ms: Positive = 0.4
    """Decay of the artefact, ms; the amplifier stays at the rail while it is larger."""

    @model_validator(mode="after")
    def _radius_grows(self) -> Self:
        if self.radius_at_double_mm < self.radius_mm:
            raise ValueError(f"radius_at_double_mm {self.radius_at_double_mm:g} is under radius_mm {self.radius_mm:g}")
        return self


class SimulatedRigConfig(SourceConfig):
    """What simulated rigs have in common: electrodes, clock, packets."""

    probe: ProbeConfig = ProbeConfig()
    """The electrode array."""
    sampling_frequency_hz: int = Field(25000, ge=1000, multiple_of=1000)
    """Samples per second; a multiple of 1000, so that a frame is a whole number of samples."""
    packet_ms: Positive | None = None
    """What the rig delivers at once, ms; by default 1."""
    packet_samples: int | None = Field(None, ge=1)
    """The same in samples, instead of ``packet_ms``."""
    lead_ms: Positive | None = None
    """How far ahead pulses are decided, ms; by default two packets (one on its way, one already begun in the rig), the
    latency, and 3 ms for the way to the stimulator."""
    latency_ms: float = Field(0.0, ge=0, le=1000, allow_inf_nan=False)
    """In real time: from a packet's last sample to its arrival, ms, as a real rig would take."""
    clock_drift_ppm: float = Field(0.0, ge=-10_000, le=10_000, allow_inf_nan=False)
    """In real time: how much faster the rig's clock runs than the host's, parts per million."""

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.packet_ms is not None and self.packet_samples is not None:
            raise ValueError("packet_ms and packet_samples are both given: keep one")
        if self.packet < 1:
            raise ValueError(f"packet_ms {self.packet_ms} is shorter than one sample")
        if self.lead < self.least_lead:
            raise ValueError(
                f"lead_ms {self.lead_ms} is under {self.least_lead / self.frame_samples:g}: pulses must be decided one "
                "packet and one frame ahead, two where packets are not whole milliseconds"
            )
        return self

    @property
    def frame_samples(self) -> int:
        """Samples of 1 ms."""
        return self.sampling_frequency_hz // 1000

    @property
    def packet(self) -> int:
        """Samples of a packet."""
        if self.packet_samples is not None:
            return self.packet_samples
        return round((1.0 if self.packet_ms is None else self.packet_ms) * self.frame_samples)

    @property
    def least_lead(self) -> int:
        """Samples after which a pulse can still be obeyed, counted from the last whole frame."""
        return self.packet + self.latency + self.frame_samples * (2 if self.packet % self.frame_samples else 1)

    @property
    def latency(self) -> int:
        """Samples of the latency."""
        return math.ceil(self.latency_ms * self.frame_samples)

    @property
    def lead(self) -> int:
        """Samples by which pulses are decided ahead of the last frame."""
        if self.lead_ms is not None:
            return round(self.lead_ms * self.frame_samples)
        waiting = -(-self.latency // self.packet) * self.packet
        return 2 * self.packet + waiting + 3 * self.frame_samples


class CultureConfig(SimulatedRigConfig):
    """A simulated cortical culture that fires, bursts and answers stimulation."""

    kind: Literal["culture"] = "culture"
    signal: Literal["spikes", "samples"] = "spikes"
    """Deliver detected spikes, or int16 samples to detect them in."""
    culture_seed: int | None = Field(None, ge=0)
    """Which culture: its cells and wiring. By default the session's seed; noise always follows the session's seed."""
    cells: int = Field(1000, ge=100)
    """Cells in the dish."""
    settle_s: NotNegative = 30.0
    """Time simulated before the first sample, s: a new network needs some seconds to reach its usual activity."""
    plasticity: PlasticityChoice = OffConfig()
    """How synapses change: off, stdp, three-factor, inhibitory, homeostatic, bcm, oracle, or a plug-in's kind."""
    network: NetworkConfig = NetworkConfig()
    """Cells and synapses."""
    electrodes: ElectrodeConfig = ElectrodeConfig()
    """Recording."""
    stimulation: StimulationConfig = StimulationConfig()
    """Effect of pulses."""

    @model_validator(mode="after")
    def _cells_suffice(self) -> Self:
        if self.network.synapses_per_cell >= self.cells:
            raise ValueError(f"synapses_per_cell {self.network.synapses_per_cell} needs more than {self.cells} cells")
        return self

    def build(self, seed: int) -> SimulatedCulture:
        """Return the culture; the session's seed decides its noise."""
        from wetloop.culture.rig import SimulatedCulture

        return SimulatedCulture(self, seed)


class PoissonConfig(SimulatedRigConfig):
    """Independent Poisson spikes on every channel that answer nothing: the in-silico control group of DishBrain."""

    kind: Literal["poisson"] = "poisson"
    rate_hz: Positive = 3.1
    """Spikes per channel, Hz; by default the mean rate of an electrode in cortex at DIV 20-22."""

    def build(self, seed: int) -> PoissonSource:
        """Return the source."""
        from wetloop.culture.poisson import PoissonSource

        return PoissonSource(self, seed)
