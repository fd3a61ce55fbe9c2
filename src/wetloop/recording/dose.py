"""The dose ledger of a culture: what every session delivered to it, over its whole life.

A session writes a row when it begins and one when it ends, from its recording. One that began and never ended was
killed: its dose is unknown until its recording is added.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import numpy as np

from wetloop.core import jsonl
from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.reached import reached
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Dose:
    """What a culture was given.

    Attributes
    ----------
    pulses, hours
        Delivered pulses and duration of all sessions that are accounted for.
    charge_nc
        Charge through each electrode, by its contact's name: the larger phase of each pulse, added up, nC.
    unaccounted
        Recordings of sessions that began and never ended: add them.
    """

    culture_id: str
    sessions: int
    pulses: int
    hours: float
    charge_nc: dict[str, float]
    unaccounted: list[str]

    @property
    def most_charge_nc(self) -> float:
        """Charge through the electrode that delivered most, nC."""
        return max(self.charge_nc.values(), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"most_charge_nc": self.most_charge_nc}


class Ledger(NamedTuple):
    """The ledger of one culture, in a folder of many."""

    folder: Path
    culture_id: str

    @property
    def path(self) -> Path:
        """Its file; any name of a culture makes a name of a file."""
        return self.folder / f"{quote(self.culture_id, safe=' ')}.jsonl"

    def dose(self) -> Dose:
        """Return all that the culture was given so far."""
        rows = jsonl.rows(self.path)
        ended = {row["session"]: row for row in rows if "pulses" in row}
        charge: dict[str, float] = {}
        for row in ended.values():
            for contact, nc in row["charge_nc"].items():
                charge[contact] = charge.get(contact, 0.0) + nc
        return Dose(
            self.culture_id,
            len(ended),
            sum(row["pulses"] for row in ended.values()),
            sum(row["duration_s"] for row in ended.values()) / 3600,
            charge,
            [row["file"] for row in rows if row["session"] not in ended],
        )

    def add(self, file: Path) -> None:
        """Account for a recording, also a recovered one, in place of the session that was killed; it counts once."""
        told, rows = delivered(file), jsonl.rows(self.path)
        if told["identifier"] in {row.get("identifier") for row in rows}:
            return
        ended = {row["session"] for row in rows if "pulses" in row}
        stem = file.stem.removesuffix(".recovered")
        begun = [row["session"] for row in rows if row["session"] not in ended and Path(row["file"]).stem == stem]
        self._end(begun[-1] if begun else told["identifier"], file, told)

    @contextmanager
    def session(self, file: Path) -> Iterator[None]:
        """Account for a session around this; what cannot be read at its end stays unaccounted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        session = uuid4().hex
        jsonl.append(self.path, {"at": _now(), "session": session, "file": str(file.resolve())})
        try:
            yield
        finally:
            with suppress(RecordingError):
                self._end(session, file, delivered(file))

    def _end(self, session: str, file: Path, told: dict[str, Any]) -> None:
        jsonl.append(self.path, {"at": _now(), "session": session, "file": str(file.resolve())} | told)


def delivered(file: Path) -> dict[str, Any]:
    """Return what a recording says was delivered: its identifier, duration, pulses, and charge by contact, nC."""
    with Recording(file) as recording:
        given = reached(recording)
        charge_nc = recording.column(schema.PULSES, "charge_nc").astype(float)
        electrodes, info = recording.pulse_electrodes(), recording.info
        start, stop = recording.extent()
        identifier = str(recording.header["identifier"])
    channels = np.concatenate([np.zeros(0, np.int64), *(e for e, ok in zip(electrodes, given, strict=True) if ok)])
    each = np.repeat(charge_nc[given], [len(e) for e, ok in zip(electrodes, given, strict=True) if ok])
    total = np.bincount(channels.astype(np.int64), weights=each, minlength=info.n_channels)
    names = info.probe.contact_ids[np.argsort(info.probe.device_channel_indices)]
    charge = {str(name): float(nc) for name, nc in zip(names, total, strict=True) if nc}
    seconds = (stop - start) / info.sampling_frequency
    told = {"identifier": identifier, "pulses": int(given.sum()), "duration_s": seconds}
    return told | {"charge_nc": charge}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
