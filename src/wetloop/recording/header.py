"""Everything that is known of a session before its first block, and how it is written as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from wetloop.core.guard import Pattern, PatternTable, Pulse, StimGuard
from wetloop.core.layout import Layout
from wetloop.core.limits import StimLimits
from wetloop.core.types import RigInfo, Signal
from wetloop.recording.schema import PULSE_PARAMETERS, decision_dtype, frame_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


@dataclass(frozen=True)
class Header:
    """What a recording opens with.

    Attributes
    ----------
    identifier
        Unique name of the recording: a UUID.
    session_start
        Wall-clock time of sample 0, with its time zone.
    description
        One sentence on the session.
    config_json
        The resolved configuration as JSON text.
    seed
        Seed of the session.
    versions
        Version of each piece of software, by name.
    info, layout, table, limits
        The rig, the roles of its channels, the prepared patterns and the tightest limits of all layers.
    decision_samples
        Samples of one decision.
    event_names, action_names, observation_names
        Bits of ``events`` from the lowest; columns of ``action`` and of ``observation``.
    n_actions, n_observations
        Numbers of these columns, at least 1.
    condition
        Experimental arm of the session.
    decoder_fitted
        Whether the decoder had been fitted to recorded data.
    subject
        What is known of the culture, by the names of the configuration's section: ``culture_id``, ``species``, ...
    reflex_source
        Text of the reflex's file (of the function, for an entry point); empty where there was no reflex.
    frame_shape
        Height and width of the pictures of the game, pixels; 0 where none are kept.
    follows_clock
        Whether the rig's clock is followed against the host's, as in real time.
    """

    identifier: str
    session_start: datetime
    description: str
    config_json: str
    seed: int
    versions: Mapping[str, str]
    info: RigInfo
    layout: Layout
    table: PatternTable
    limits: StimLimits
    decision_samples: int
    event_names: tuple[str, ...]
    action_names: tuple[str, ...]
    observation_names: tuple[str, ...]
    n_actions: int
    n_observations: int
    condition: str = "closed_loop"
    subject: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
    reflex_source: str = ""
    frame_shape: tuple[int, int] = (0, 0)
    decoder_fitted: bool = False
    follows_clock: bool = False

    @property
    def decision_dtype(self) -> np.dtype[np.void]:
        """Record type of this session's decisions."""
        return decision_dtype(self.n_actions, self.n_observations)

    @property
    def frame_dtype(self) -> np.dtype[np.void]:
        """Record type of this session's pictures."""
        return frame_dtype(self.frame_shape)

    @property
    def keeps_frames(self) -> bool:
        """Whether pictures of the game are kept."""
        return min(self.frame_shape) > 0


def header_to_json(header: Header) -> str:
    """Return the plain fields of the header; the others are texts of their own (``documents``)."""
    apart = {"config_json", "info", "layout", "table", "limits"}
    plain = {f.name: getattr(header, f.name) for f in dataclasses.fields(header) if f.name not in apart}
    return json.dumps(plain | {"session_start": header.session_start.isoformat()}, default=dict)


def info_to_json(info: RigInfo) -> str:
    """Return the rig as JSON: the probe as probeinterface has it, null as gain of an unusable channel."""
    plain = {field.name: getattr(info, field.name) for field in dataclasses.fields(info)}
    gain = [None if math.isnan(value) else value for value in info.gain_uv.tolist()]
    changed = {
        "probe": info.probe.to_dict(array_as_list=True),
        "signal": info.signal.name.lower(),
        "gain_uv": gain,
        "limits": limits_to_plain(info.limits),
    }
    return json.dumps(plain | changed)


def info_from_json(text: str) -> RigInfo:
    """Return the rig that ``info_to_json`` wrote."""
    from probeinterface import Probe

    plain = json.loads(text)
    gain = np.array([math.nan if value is None else value for value in plain["gain_uv"]], np.float32)
    changed = {
        "probe": Probe.from_dict(plain["probe"]),
        "signal": Signal[plain["signal"].upper()],
        "gain_uv": gain,
        "limits": StimLimits.model_validate(plain["limits"]),
    }
    return RigInfo(**(plain | changed))


def limits_to_plain(limits: StimLimits) -> dict[str, Any]:
    """Return the limits that bind; JSON knows no infinity."""
    return limits.model_dump(mode="json", exclude_defaults=True)


def layout_to_json(layout: Layout) -> str:
    """Return the roles of the channels as JSON."""
    return json.dumps(
        {
            "sensory": layout.sensory,
            "regions": layout.regions.tolist(),
            "n_regions": layout.n_regions,
            "sensory_rows": layout.sensory_rows,
        },
        default=int,
    )


def layout_from_json(text: str) -> Layout:
    """Return the roles that ``layout_to_json`` wrote."""
    plain = json.loads(text)
    regions = np.array(plain["regions"], np.int64)
    return Layout(tuple(plain["sensory"]), regions, plain["n_regions"], plain.get("sensory_rows", 1))


def patterns_to_json(table: PatternTable) -> str:
    """Return the prepared patterns as JSON, in the order in which they were loaded."""
    return json.dumps(
        [
            {
                "name": name,
                **dataclasses.asdict(pattern.pulse),
                "channels": pattern.channels,
                "charge_nc": float(charge),
            }
            for (name, pattern), charge in zip(table, table.charge_nc, strict=True)
        ],
        default=int,
    )


def patterns_from_json(text: str) -> dict[str, Pattern]:
    """Return the patterns by name; only a ``StimGuard`` can make a table of them again."""
    fields = [field.name for field in dataclasses.fields(Pulse)]
    return {
        entry["name"]: Pattern(Pulse(**{name: entry[name] for name in fields}), tuple(entry["channels"]))
        for entry in json.loads(text)
    }


def documents(header: Header) -> dict[str, str]:
    """Return the JSON texts that a recording carries, by the names in ``schema.DOCUMENTS``."""
    return {
        "config": header.config_json,
        "header": header_to_json(header),
        "rig": info_to_json(header.info),
        "layout": layout_to_json(header.layout),
        "limits": json.dumps(limits_to_plain(header.limits)),
        "patterns": patterns_to_json(header.table),
        "summary": "{}",
    }


def header_from_documents(texts: Mapping[str, str]) -> Header:
    """Return the header that ``documents`` wrote; the patterns pass the guard of its rig again."""
    info = info_from_json(texts["rig"])
    plain: dict[str, Any] = json.loads(texts["header"])
    plain |= {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    changed = {
        "config_json": texts["config"],
        "session_start": datetime.fromisoformat(plain["session_start"]),
        "info": info,
        "layout": layout_from_json(texts["layout"]),
        "table": StimGuard(info).prepare(patterns_from_json(texts["patterns"])),
        "limits": StimLimits.model_validate_json(texts["limits"]),
    }
    return Header(**(plain | changed))


def parameters(table: PatternTable) -> npt.NDArray[np.float32]:
    """Return what each pattern delivers, columns as ``schema.PULSE_PARAMETERS``, shape (n_patterns, 6)."""
    names = [column.name for column in PULSE_PARAMETERS if column.name != "charge_nc"]
    rows = [[getattr(pattern.pulse, name) for name in names] for pattern in table.patterns]
    shape = (len(table), len(names))
    return np.column_stack([np.array(rows, np.float32).reshape(shape), table.charge_nc]).astype(np.float32)
