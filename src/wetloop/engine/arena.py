"""Shared memory: named arrays in one mapped file, which no death of a process can leave in the way.

Every process that maps the file holds a shared lock on it, which the kernel drops when the process ends, however it
ends. So a file is stale exactly when an exclusive lock can be taken: no process ids, no clocks, no resource tracker.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import mmap
import os
import re
import struct
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np

from wetloop.core.errors import RigError
from wetloop.engine.halt import FOLDER, HEADER, MAGIC, PREFIX, VERSION, is_unused, whole_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from wetloop.kernels.rings import Ring

    Spec: TypeAlias = Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]]
    """Dtype and shape of each array, by name."""

NEW_PREFIX = ".wetloop-new-"


class Segment(NamedTuple):
    """A segment found on this machine; a stale one is mapped by nobody."""

    name: str
    stale: bool
    size_bytes: int


class Place(NamedTuple):
    """Where an array lies in the file, in bytes from its beginning."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int


class Arena:
    """Arrays in a mapped file, which lives as long as they do; its name goes when the creator closes the arena.

    Made by ``create`` in one process and ``attach`` in the others.
    """

    def __init__(self, path: Path, fd: int, places: Mapping[str, Place], *, owner: bool, writable: bool = True) -> None:
        # The map duplicates fd and closes its copy when the last array dies: so long the lock is held.
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        memory = mmap.mmap(fd, 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=protection)
        self.name = path.name.removeprefix(PREFIX)
        self.arrays: dict[str, npt.NDArray[Any]] = {
            key: np.ndarray(place.shape, place.dtype, memory, place.offset) for key, place in places.items()
        }
        self._path, self._owner = path, owner

    @classmethod
    def create(cls, name: str, spec: Spec, folder: Path = FOLDER) -> Self:
        """Sweep, and map a new segment of zeros; the file has its name only when it is locked and complete."""
        sweep(folder)
        path, header = _path(name, folder), _header(spec)
        places, size_bytes = _places(spec, len(header))
        try:
            with _new_file(folder) as (fd, temporary):
                os.posix_fallocate(fd, 0, size_bytes)
                os.pwrite(fd, header, 0)
                arena = cls(path, fd, places, owner=True)
                path.hardlink_to(temporary)
        except OSError as error:
            raise _not_created(path, size_bytes, error) from None
        return arena

    @classmethod
    def attach(cls, name: str, folder: Path = FOLDER, *, writable: bool = True) -> Self:
        """Map a segment that another living process has created; one that only looks cannot write by mistake."""
        path = _path(name, folder)
        with _opened(path, os.O_RDWR if writable else os.O_RDONLY) as fd:
            if fd is None:
                raise RigError(f"{path}: there is no such shared memory; has the session that made it ended?")
            if not _is_ours(fd):
                raise RigError(f"{path} is no shared memory of Wetloop: remove it or choose another name")
            if is_unused(fd):
                raise RigError(f"{path}: the session that made this shared memory has died; start it again")
            fcntl.flock(fd, fcntl.LOCK_SH)
            if not _leads_to(path, fd):
                raise RigError(f"{path}: this shared memory has just been removed; has the session ended?")
            return cls(path, fd, _read_places(path, fd), owner=False, writable=writable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ring(self, key: str) -> Ring:
        """Return a ring that was listed with ``ring_spec``."""
        from wetloop.kernels.rings import Ring

        if f"{key}.words" not in self.arrays:
            raise RigError(f"{self.name} belongs to another version of Wetloop (it has no {key}): use that version")
        return Ring(self.arrays[f"{key}.words"], self.arrays[f"{key}.slots"])

    def close(self) -> None:
        """Forget the arrays and, as the creator, remove the name; memory is released when the last array dies."""
        if self._owner:
            self._path.unlink(missing_ok=True)
        self._owner = False
        self.arrays = {}


def ring_spec(key: str, dtype: npt.DTypeLike, capacity: int) -> dict[str, tuple[npt.DTypeLike, tuple[int, ...]]]:
    """Return the arrays of one ring; the creator calls ``rings.prepare`` on it before anybody attaches."""
    from wetloop.kernels.rings import WORDS

    return {f"{key}.words": (np.int64, (WORDS,)), f"{key}.slots": (dtype, (capacity,))}


def segments(folder: Path = FOLDER) -> list[Segment]:
    """Return the segments of this user, in order of their names."""
    found = []
    for path in sorted(folder.glob(f"{PREFIX}*")):
        with _opened(path) as fd:
            if fd is not None and _is_ours(fd):
                found.append(Segment(path.name.removeprefix(PREFIX), is_unused(fd), os.fstat(fd).st_size))
    return found


def sweep(folder: Path = FOLDER) -> list[str]:
    """Remove what no living process maps, half-made files too; return the names of the segments removed."""
    for path in folder.glob(f"{NEW_PREFIX}*"):
        _remove_unused(path)
    return [path.name.removeprefix(PREFIX) for path in sorted(folder.glob(f"{PREFIX}*")) if _remove_unused(path)]


def _remove_unused(path: Path) -> bool:
    with _opened(path) as fd:
        if fd is None or (path.name.startswith(PREFIX) and not _is_ours(fd)) or not is_unused(fd):
            return False
        # With the exclusive lock held, nobody else can remove this file and give its name to a new one.
        if not _leads_to(path, fd):
            return False
        path.unlink()
    return True


def _path(name: str, folder: Path) -> Path:
    if not re.fullmatch(r"[\w.-]+", name):
        raise RigError(f"{name!r} cannot name shared memory: use letters, digits, '.', '_' and '-'")
    return folder / f"{PREFIX}{name}"


@contextmanager
def _opened(path: Path, access: int = os.O_RDWR) -> Iterator[int | None]:
    """Open a file; give None where there is no such file or it belongs to another user."""
    try:
        fd = os.open(path, access | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _new_file(folder: Path) -> Iterator[tuple[int, Path]]:
    """Make a locked file whose name goes at the end; again where a sweep came between name and lock."""
    while True:
        fd, name = tempfile.mkstemp(prefix=NEW_PREFIX, dir=folder)
        fcntl.flock(fd, fcntl.LOCK_SH)
        if _leads_to(Path(name), fd):
            break
        os.close(fd)
    try:
        yield fd, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(fd)


def _leads_to(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _is_ours(fd: int) -> bool:
    return os.pread(fd, len(MAGIC), 0) == MAGIC


def _not_created(path: Path, size_bytes: int, error: OSError) -> RigError:
    if error.errno == errno.EEXIST:
        return RigError(f"{path} exists and is in use: give this session another name, or end the other one")
    return RigError(f"{path}: no shared memory of {size_bytes / 1e6:.1f} MB: {error.strerror}")


def _header(spec: Spec) -> bytes:
    described = [(key, np.lib.format.dtype_to_descr(np.dtype(dtype)), shape) for key, (dtype, shape) in spec.items()]
    text = json.dumps(described).encode()
    return HEADER.pack(MAGIC, VERSION, len(text)) + text


def _places(spec: Spec, header_bytes: int) -> tuple[dict[str, Place], int]:
    """Put every array on pages of its own behind the header; return the places and the size of the file in bytes."""
    places, end = {}, whole_pages(header_bytes)
    for key, (kind, shape) in spec.items():
        dtype = np.dtype(kind)
        places[key] = Place(dtype, tuple(shape), end)
        end += whole_pages(dtype.itemsize * math.prod(shape))
    return places, end


def _read_places(path: Path, fd: int) -> dict[str, Place]:
    try:
        _, version, n_bytes = HEADER.unpack(os.pread(fd, HEADER.size, 0))
        if version != VERSION:
            raise RigError(f"{path} has layout {version}, this Wetloop reads {VERSION}: start both with the same one")
        described = json.loads(os.pread(fd, n_bytes, HEADER.size))
        spec = {key: (np.lib.format.descr_to_dtype(_tuples(kind)), shape) for key, kind, shape in described}
        places, size_bytes = _places(spec, HEADER.size + n_bytes)
    except (struct.error, ValueError, TypeError) as error:
        raise RigError(f"{path} is damaged: {error}") from None
    if os.fstat(fd).st_size != size_bytes:
        raise RigError(f"{path} is incomplete: {os.fstat(fd).st_size} of {size_bytes} bytes")
    return places


def _tuples(description: Any) -> Any:
    """Turn a dtype's description back from JSON, which knows only lists."""
    if isinstance(description, str):
        return description
    return [(name, _tuples(kind), *map(tuple, shape)) for name, kind, *shape in description]
