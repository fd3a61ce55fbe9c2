"""A recording at a glance, as plain values that JSON can hold; what is long is counted, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from wetloop.core import hdf5
from wetloop.core.errors import RecordingError
from wetloop.core.rig_pulses import OUTCOMES
from wetloop.engine.alarm_rows import plain
from wetloop.kernels.records import DELIVERED, FATES, KINDS
from wetloop.recording import schema
from wetloop.recording.journal import journal_path
from wetloop.recording.reached import reached, stim_report
from wetloop.recording.reader import Recording
from wetloop.recording.texts import is_intact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

TOLD = ("identifier", "session_start", "description", "condition", "seed", "versions")
MOST_NAMED = 5
MOST_SAID = 200
MOST_ALARMS = 20
"""The newest ones; the recording has all."""


def describe(path: Path, *, trusted: bool = False) -> dict[str, Any]:
    """Return an overview of the recording: what, how long, on which rig, and how it went.

    All but raw samples and pictures is read once, so that damage is found.

    Raises
    ------
    RecordingError
        Saying what is wrong with the file, whatever it is.
    """
    try:
        with Recording(path, trusted=trusted) as recording:
            overview = _overview(recording)
        return overview | _checked(path)
    except RecordingError:
        raise
    except Exception as error:
        said = hdf5.printable(f"{type(error).__name__}: {error}")
        raise RecordingError(f"{path}: damaged, what it says of itself makes no sense ({said[:MOST_SAID]})") from error


def _overview(recording: Recording) -> dict[str, Any]:
    start, stop = recording.extent()
    duration_s = (stop - start) / recording.info.sampling_frequency
    samples = recording.samples
    return {
        "file": str(recording.path),
        "size_bytes": recording.path.stat().st_size,
        "complete": recording.complete,
        "journal": _journal(recording.path),
        "recovered": recording.recovered,
        **{name: recording.header[name] for name in TOLD},
        "rig": _rig(recording),
        "duration_s": duration_s,
        "raw_samples": 0 if samples is None else samples.shape[0],
        "frames": len(recording.frame_samples),
        "spikes": _spikes(recording, duration_s),
        "pulses": _pulses(recording) | _at_the_rig(recording),
        "decisions": _decisions(recording),
        "episodes": _episodes(recording),
        "blocks": _blocks(recording),
        "operator_commands": recording.n_rows(schema.COMMANDS),
        "alarms": plain(recording.alarms()[-MOST_ALARMS:]),
        "summary": recording.summary,
    }


def _checked(path: Path) -> dict[str, Any]:
    """Return which datasets were too large to be read for their checksums."""
    with h5py.File(path) as file:
        damaged, left_out = hdf5.unreadable(file)
        damaged += [f"{schema.SCRATCH}/{d}" for d in schema.DOCUMENTS if not is_intact(file[f"{schema.SCRATCH}/{d}"])]
    if damaged:
        more = f" and {len(damaged) - MOST_NAMED} more" if len(damaged) > MOST_NAMED else ""
        names = ", ".join(damaged[:MOST_NAMED])
        raise RecordingError(f"{path}: damaged, cannot be read: {names}{more}. wetloop recover saves the rest")
    return {"not_checked": left_out}


def _journal(path: Path) -> str | None:
    """Return what to do about a journal that lies beside the recording."""
    beside = journal_path(path)
    return f"{beside} (if the session is over: wetloop recover {path})" if beside.exists() else None


def _rig(recording: Recording) -> dict[str, Any]:
    info = recording.info
    return {
        "name": info.name,
        "channels": info.n_channels,
        "sampling_frequency_hz": info.sampling_frequency,
        "unit": info.unit,
        "patterns": len(recording.patterns),
    }


def _spikes(recording: Recording, duration_s: float) -> dict[str, Any]:
    count = recording.n_rows(schema.SPIKES)
    return {"count": count, "rate_hz": count / duration_s if duration_s else 0.0}


def _pulses(recording: Recording) -> dict[str, Any]:
    kind, fate = (recording.column(schema.PULSES, name) for name in ("kind", "fate"))
    given = reached(recording)
    return {
        "count": len(kind),
        "by_fate": _counts(fate, FATES),
        "by_kind": _counts(kind, KINDS),
        "delivered_by_kind": _counts(kind[given], KINDS),
        "delivered_but_not_at_the_rig": int((fate == DELIVERED).sum() - given.sum()),
    }


def _at_the_rig(recording: Recording) -> dict[str, Any]:
    """Return what became of the delivered pulses at a rig in real time, and what it told of them, if it tells."""
    triggers = recording.triggers()
    if not len(triggers):
        return {}
    told = stim_report(recording)._asdict() if len(recording.seen_pulses()) else {}
    return {"at_the_rig": _counts(triggers["outcome"], OUTCOMES), **({"told_by_the_rig": told} if told else {})}


def _counts(codes: npt.NDArray[np.uint8], names: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=False) if count}


def _decisions(recording: Recording) -> dict[str, Any]:
    lateness_us = recording.column(schema.DECISIONS, "lateness_us")
    decision_ms = 1000 * recording.header["decision_samples"] / recording.info.sampling_frequency
    worst = float(lateness_us.max()) if len(lateness_us) else 0.0
    return {"count": len(lateness_us), "decision_ms": decision_ms, "worst_lateness_us": worst}


def _episodes(recording: Recording) -> dict[str, Any]:
    found = recording.episodes()
    causes, counts = np.unique(found["ended_by"], return_counts=True)
    return {
        "count": len(found),
        "mean_hits": float(found["hits"].mean()) if len(found) else 0.0,
        "most_hits": int(found["hits"].max()) if len(found) else 0,
        "aces": int((found["hits"] == 0).sum()),
        "ended_by": dict(zip(causes.tolist(), counts.tolist(), strict=True)),
    }


def _blocks(recording: Recording) -> dict[str, int]:
    lost = recording.column(schema.BLOCKS, "lost_samples")
    return {"count": len(lost), "lost_samples": int(lost.sum(dtype=np.int64))}
