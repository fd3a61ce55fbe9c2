"""Copies a recording without raw samples and pictures: valid NWB that Wetloop opens and replays, but small.

Compressed chunks are copied as they are. What points from one part of the file to another does not survive such a
copy, and is set anew.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from wetloop.core.errors import RecordingError
from wetloop.recording import schema
from wetloop.recording.export import require_free, whole
from wetloop.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LEFT_OUT = (schema.RAW, schema.GAME_FRAMES, schema.FRAMES.path)


def write_spikes_only(
    path: Path, out: Path, *, replace: bool = False, on_progress: Callable[[float], None] | None = None
) -> int:
    """Write the copy and return its size, bytes.

    It replays from its recorded spikes. ``identifier`` is another one, as NWB asks; ``session_id`` stays.

    Raises
    ------
    ConfigError
        Where the file exists and is not to be replaced, or cannot be written.
    RecordingError
        Where the file is no recording, or damaged.
    """
    with Recording(path):
        require_free([out], replace=replace)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Another driver than that of everybody else: HDF5 2.0 writes past its buffer where it copies a dataset that the
    # process also has open and has read, whose chunks it then takes from the cache that both would share.
    with whole(out) as part, h5py.File(path, "r", driver="stdio") as source:
        with h5py.File(part, "w") as copy:
            _copy(path, source, copy, on_progress or (lambda _share: None))
        return part.stat().st_size


def _copy(path: Path, source: h5py.File, copy: h5py.File, on_progress: Callable[[float], None]) -> None:
    _take_attributes(source, copy)
    parts = list(_parts(source))
    for done, where in enumerate(parts, 1):
        try:
            source.copy(source[where], _parent(source, copy, where), name=where.rpartition("/")[2])
        except (OSError, RuntimeError) as error:
            raise RecordingError(f"{path}: {where} is damaged and cannot be copied ({error})") from error
        on_progress(done / len(parts))
    _point_anew(source, copy)
    identifier = source["identifier"].asstr()[()]
    copy["identifier"][()] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{identifier} spikes only"))


def _parts(group: h5py.Group) -> Iterator[str]:
    """Yield the largest parts of the file that hold nothing to be left out."""
    for name in group:
        where = f"{group.name}/{name}".strip("/")
        if any(left.startswith(f"{where}/") for left in LEFT_OUT):
            yield from _parts(group[name])
        elif where not in LEFT_OUT:
            yield where


def _parent(source: h5py.File, copy: h5py.File, where: str) -> h5py.Group:
    """Return the group that a part belongs into; it is made with its attributes."""
    name = where.rpartition("/")[0] or "/"
    if name not in copy:
        _take_attributes(source[name], copy.create_group(name))
    return copy[name]


def _take_attributes(source: h5py.Group, copy: h5py.Group) -> None:
    copy.attrs.update({name: value for name, value in source.attrs.items() if not isinstance(value, h5py.Reference)})


def _point_anew(source: h5py.File, copy: h5py.File) -> None:
    """Set every reference of the copy to the object of the same name as in the source."""

    def moved(pointer: h5py.Reference) -> h5py.Reference:
        return copy[source[pointer].name].ref

    def visit(name: str, made: Any) -> None:
        for key, value in source[name].attrs.items():
            if isinstance(value, h5py.Reference):
                made.attrs[key] = moved(value)
        if isinstance(made, h5py.Dataset) and h5py.check_ref_dtype(made.dtype):
            made[...] = np.array([moved(pointer) for pointer in source[name][...]], h5py.ref_dtype)

    visit("/", copy)
    copy.visititems(visit)
