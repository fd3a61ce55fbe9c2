"""What a session is made of; a value's meaning, unit, range and default stand beside it."""

import re
from importlib.util import find_spec
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
)

from wetloop.coding.agent import AgentConfig
from wetloop.config.care import CareConfig
from wetloop.config.reflex import ReflexConfig
from wetloop.core.layout import LayoutConfig
from wetloop.core.limits import BoundLimits, StimLimits
from wetloop.core.plugin import (
    DecoderConfig,
    EncoderConfig,
    FeedbackConfig,
    PluginConfig,
    SourceConfig,
    StimulatorConfig,
    TaskConfig,
)
from wetloop.engine.detector import DetectionConfig
from wetloop.engine.exclusion import ExclusionConfig
from wetloop.engine.overrun import OverrunConfig
from wetloop.engine.watch_config import WatchConfig

_DURATION = re.compile(r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(ms|s|min|h)?")
_UNIT_S = {None: 1.0, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


def seconds(value: object) -> object:
    """Return ``"90s"``, ``"20min"``, ``"1h"`` or ``"500ms"`` in seconds; other types pass through."""
    if isinstance(value, bool):
        raise ValueError("a duration is a number, not true or false")  # noqa: TRY004  (pydantic collects ValueError)
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("write seconds, or a number with ms, s, min or h, such as 90, 90s, 20min or 1h")
    return float(match[1]) * _UNIT_S[match[2]]


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=1e7, allow_inf_nan=False)]
_Pixels = Annotated[int, Field(ge=8, le=512)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class GuardConfig(_Section):
    """The session's own layer of the stimulation guard; it can only tighten what rig and driver allow."""

    limits: BoundLimits = StimLimits()
    """Limits of this session; a value left out does not bind."""
    lease_ms: float = Field(50.0, gt=0, le=10_000, allow_inf_nan=False)
    """Stimulation falls silent this long after the session's last decision, ms of the rig's clock."""
    trip_refused_per_s: int | None = Field(None, ge=1)
    """Trip the guard when it refuses more pulses than this in one second; by default it does not."""
    after_trip: Literal["record", "end"] = "record"
    """After a trip nothing is stimulated and the task is held. Go on recording to the planned end, for what a culture
    does then is what one wants to see; or end the session."""


class RigConfig(_Section):
    """What is special about this rig; the path of a YAML file with these keys may stand here instead."""

    name: str | None = None
    """What the lab calls the rig; written into the recording."""
    limits: BoundLimits = StimLimits()
    """Limits of this rig (electrode material, amplifier); a value left out does not bind."""


class RecordingConfig(_Section):
    """Where and how the session is recorded."""

    folder: str = "recordings"
    """Folder of the recording; made if it does not exist."""
    name: str | None = Field(None, pattern=r"^[^/\\\x00]+$")
    """File name without its ending; by default made of date, time and condition."""
    raw_samples: bool = False
    """Also keep the raw samples of rigs that deliver them."""
    compression: Literal["none", "gzip", "bitshuffle-lz4"] = "none"
    """Compression of raw samples: gzip halves them for 4 % of a core at 64 channels and can be read everywhere;
    bitshuffle-lz4 is ten times faster, and its readers need hdf5plugin. Tables are always compressed."""
    frames: Literal["none", "grey"] = "none"
    """Also keep small grey pictures of the game, of tasks that show one."""
    frame_size: tuple[_Pixels, _Pixels] = (84, 84)
    """Height and width of the pictures, pixels."""
    frame_rate_hz: float = Field(10.0, gt=0, le=1000, allow_inf_nan=False)
    """Most pictures per second of the rig's clock, Hz; they are taken at decisions."""
    journal: Literal["none", "tables", "all"] = "tables"
    """What is written to a journal as well, on the disk each second: wetloop recover rebuilds the recording from it."""
    keep_journal: bool = False
    """Keep the journal when the recording is complete; otherwise it stays only where something failed."""
    reserve_mb: float = Field(1000.0, ge=0, allow_inf_nan=False)
    """Space to leave on the disk, MB, or 5 minutes of data if that is more: raw samples end there, at a quarter all."""
    on_failure: Literal["stop", "continue"] = "stop"
    """When the recorder fails in real time: end the session with stimulation off, or go on without a recording."""
    patience_s: float = Field(5.0, ge=1, le=60, allow_inf_nan=False)
    """How long a recorder that still runs may be silent until it counts as failed, s; a dead one is noticed at once."""

    @field_validator("compression")
    @classmethod
    def _compressor_is_installed(cls, compression: str) -> str:
        if compression == "bitshuffle-lz4" and find_spec("hdf5plugin") is None:
            raise ValueError("bitshuffle-lz4 needs hdf5plugin: pip install 'wetloop[lz4]', or choose gzip")
        return compression

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of the pictures, pixels; 0 where none are kept."""
        return (0, 0) if self.frames == "none" else self.frame_size


class SubjectConfig(_Section):
    """Who was in the dish; copied into the recording."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    culture_id: str | None = None
    """Name of the culture, unique in the lab."""
    species: str | None = None
    """Species in Latin, such as Rattus norvegicus."""
    cell_line: str | None = None
    """Cell line or preparation."""
    passage: str | None = None
    """Passage of the cells when they were plated; "primary" where they never grew in culture before."""
    days_in_vitro: int | None = Field(None, ge=0)
    """Age of the culture, days since plating."""
    coating: str | None = None
    """Coating of the electrode array, such as PEI and laminin."""
    medium: str | None = None
    """Culture medium, and what was added to it."""
    approval: str | None = None
    """Reference of the ethical approval under which the cells were obtained."""
    chip_id: str | None = None
    """Serial number of the electrode array."""
    operator: str | None = None
    """Who ran the session."""
    institution: str | None = None
    """Where it was run."""
    notes: str | None = None
    """Anything else worth keeping."""


class SessionConfig(_Section):
    """A session. Source, task, encoder, decoder and feedback are plug-ins, each chosen by its ``kind``."""

    seed: int = Field(1, ge=0, lt=2**63)
    """Seed of everything random: the same seed gives the same session."""
    duration: Duration = 300.0
    """Length of the session on the rig's clock, s; may be written as 90, 90s, 20min, 1h or 500ms."""
    decision_ms: int = Field(10, ge=1, le=1000)
    """Time from one decision to the next, in whole frames of 1 ms."""
    plan_ms: float | None = Field(None, ge=0, le=1000, allow_inf_nan=False)
    """How far behind the closing window a program takes effect, ms; by default one decision."""
    condition: Literal[
        "stimulus", "silent", "no_feedback", "rest", "yoked", "noise",
        "agent", "zero_spikes", "poisson_spikes", "shuffled_channels", "random_actions",
    ] = "stimulus"  # fmt: skip
    """Experimental arm; the last four exchange what the decoder sees, nothing else. An agent has no culture."""
    source: SourceConfig
    """Where the activity comes from: a simulated culture, a recording, or a rig."""
    stimulator: StimulatorConfig
    """What stimulates: the source itself, or a device of another make."""
    task: TaskConfig
    """What the culture plays."""
    layout: LayoutConfig = LayoutConfig()
    """Which electrodes show the task and which are read for the action."""
    encoder: EncoderConfig
    """How the task is shown to the culture."""
    decoder: DecoderConfig
    """How activity becomes an action."""
    feedback: FeedbackConfig
    """How outcomes are answered with stimulation."""
    agent: AgentConfig = AgentConfig()
    """Which program plays under the condition agent."""
    reflex: ReflexConfig = ReflexConfig()
    """What answers within a frame: a compiled function, called every 1 ms with the new spikes."""
    detection: DetectionConfig = DetectionConfig()
    """How spikes are found in raw samples; rigs that deliver spikes do not use it."""
    exclusion: ExclusionConfig = ExclusionConfig()
    """Which spikes a decoder is not given: artefacts and evoked responses after pulses."""
    rig: RigConfig = RigConfig()
    """The rig's name and limits, or the path of a YAML file with them."""
    guard: GuardConfig = Field(GuardConfig(), validate_default=True)
    """The session's limits of stimulation."""
    overrun: OverrunConfig = OverrunConfig()
    """What follows when decisions come late again and again in real time."""
    watch: WatchConfig = WatchConfig()
    """What is watched while nobody looks, what follows from it, and who is told."""
    recording: RecordingConfig = RecordingConfig()
    """Where and how the session is recorded."""
    subject: SubjectConfig = SubjectConfig()
    """Who is in the dish."""
    care: CareConfig = CareConfig()
    """Care for the culture beyond this session: dose ledger, limits over its life."""

    @property
    def plan_ahead_ms(self) -> float:
        """How far behind the closing window a program takes effect, ms."""
        return float(self.decision_ms if self.plan_ms is None else self.plan_ms)

    @field_validator("guard")
    @classmethod
    def _lease_covers_a_decision(cls, guard: GuardConfig, info: ValidationInfo) -> GuardConfig:
        decision_ms, plan_ms = info.data.get("decision_ms"), info.data.get("plan_ms")
        needed = 0 if decision_ms is None else decision_ms + (decision_ms if plan_ms is None else plan_ms)
        if guard.lease_ms < needed:
            raise ValueError(
                f"lease_ms {guard.lease_ms:g} ms is shorter than a decision and its plan ({needed:g} ms): "
                f"stimulation would fall silent between decisions; set lease_ms to {needed:g} or more"
            )
        return guard


class Choice(NamedTuple):
    """A section whose model depends on its ``kind``."""

    group: str
    default: str
    base: type[PluginConfig]


CHOICES = {
    "source": Choice("wetloop.sources", "culture", SourceConfig),
    "stimulator": Choice("wetloop.stimulators", "source", StimulatorConfig),
    "task": Choice("wetloop.tasks", "pong", TaskConfig),
    "encoder": Choice("wetloop.encoders", "place-rate", EncoderConfig),
    "decoder": Choice("wetloop.decoders", "region-ratio", DecoderConfig),
    "feedback": Choice("wetloop.feedback", "dishbrain", FeedbackConfig),
}


def concrete(sections: dict[str, Any]) -> type[SessionConfig]:
    """Return the session's model with these models in place of the plug-ins' base classes."""
    fields: dict[str, Any] = {name: (model, ...) for name, model in sections.items()}
    return create_model("SessionConfig", __base__=SessionConfig, **fields)
