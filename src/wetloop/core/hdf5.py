"""Looks an HDF5 file over before anything in it is read, because HDF5 believes whatever a file says.

A link may lead into another file, a dataset may name any file as its storage, a few kilobytes may declare terabytes,
and a filter may be code from a plug-in folder. None of this has a place in a recording.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import h5py
from h5py import h5d, h5g, h5l, h5o, h5pl, h5s, h5z

from wetloop.core.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_OBJECTS: Final = 10_000
MOST_DEPTH: Final = 32
MOST_CHUNK_BYTES: Final = 1 << 28
SMALL_BYTES: Final = 1 << 20
"""A dataset of this size may be declared without being stored."""
MOST_READ_BYTES: Final = 1 << 26
BITSHUFFLE: Final = 32008
EXPANSION: Final = {h5z.FILTER_DEFLATE: 1032, BITSHUFFLE: 255}
"""How many bytes a stored byte can become at most: DEFLATE by zlib's technical notes, LZ4 by its block format."""
FILTERS: Final = {*EXPANSION, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
SOFT_LINKS: Final = b"general/"
"""Where NWB links within a file: from groups of electrodes to their device."""
HDF5_ERRORS: Final = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError)
"""What h5py makes of a damaged file."""
MOST_SHOWN: Final = 80


def forget_plugins() -> None:
    """Let HDF5 load no code from its plug-in folders; hdf5plugin brings its filters without them."""
    for k in reversed(range(h5pl.size())):
        h5pl.remove(k)


def load_bitshuffle() -> bool:
    """Let HDF5 read and write bitshuffle-lz4 where hdf5plugin is installed; return whether it is."""
    with contextlib.suppress(ImportError):
        import_module("hdf5plugin")
    return bool(h5z.filter_avail(BITSHUFFLE))


def require_bitshuffle() -> None:
    """Raise a ``RecordingError`` where bitshuffle-lz4 can neither be read nor written."""
    if not load_bitshuffle():
        raise RecordingError("raw samples in bitshuffle-lz4 need hdf5plugin: pip install 'wetloop[lz4]'")


def fault_in(file: h5py.File) -> str | None:
    """Return in words the first thing that a harmless file does not have; None if there is none."""
    try:
        return next(_faults(file), None)
    except HDF5_ERRORS as error:
        return f"damaged, its structure cannot be followed ({printable(str(error))})"


def unreadable(file: h5py.File) -> tuple[list[str], list[str]]:
    """Read everything once, so that HDF5 checks its checksums.

    Returns
    -------
    tuple
        Names of the datasets that are damaged, and of those left out because they are large.
    """
    damaged, left_out = [], []
    for node in _nodes(file):
        if not isinstance(node.object, h5d.DatasetID):
            continue
        dataset = h5py.Dataset(node.object)
        if _declared_bytes(node.object) > MOST_READ_BYTES:
            left_out.append(_shown(node.path))
            continue
        try:
            dataset[()]
        except HDF5_ERRORS:
            damaged.append(_shown(node.path))
    return damaged, left_out


def printable(text: str) -> str:
    """Return a stranger's text without what could command a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Node(NamedTuple):
    """Something with a name: an object of the file, or why it is not followed."""

    path: bytes
    object: Any
    fault: str = ""


def _nodes(file: h5py.File) -> Iterator[_Node]:
    """Yield every object once, and every link that is not followed."""
    seen, n_links = {h5o.get_info(file.id).addr}, 0
    waiting = deque([(b"", file.id)])
    while waiting:
        path, group = waiting.popleft()
        n_links += group.get_num_objs()
        if n_links > MOST_OBJECTS:
            yield _Node(path, None, f"more than {MOST_OBJECTS} objects in the file")
            return
        for name in list(group):
            node = _node(group, name, path + name)
            if node.object is not None:
                address = h5o.get_info(node.object).addr
                if address in seen:
                    continue
                seen.add(address)
            yield node
            if isinstance(node.object, h5g.GroupID):
                waiting.append((path + name + b"/", node.object))


def _node(group: Any, name: bytes, path: bytes) -> _Node:
    kind = group.links.get_info(name).type
    if kind == h5l.TYPE_HARD and path.count(b"/") < MOST_DEPTH:
        return _Node(path, h5o.open(group, name))
    if kind == h5l.TYPE_HARD:
        return _Node(path, None, f"more than {MOST_DEPTH} groups within each other")
    if kind == h5l.TYPE_EXTERNAL:
        return _Node(path, None, f"a link into another file, {_shown(group.links.get_val(name)[0])}")
    if kind != h5l.TYPE_SOFT:
        return _Node(path, None, "a link of unknown kind")
    target = group.links.get_val(name)
    expected = path.startswith(SOFT_LINKS) and target.startswith(b"/" + SOFT_LINKS)
    return _Node(path, None, "" if expected else f"a link to {_shown(target)}, which recordings do not have")


def _faults(file: h5py.File) -> Iterator[str]:
    room = file.id.get_filesize()
    for node in _nodes(file):
        fault = node.fault
        if isinstance(node.object, h5d.DatasetID):
            room -= node.object.get_storage_size()
            fault = _dataset_fault(node.object) or ("" if room >= 0 else "more data stored than the file is long")
        if fault:
            yield f"{_shown(node.path)}: {fault}"


def _dataset_fault(dataset: h5d.DatasetID) -> str:
    created = dataset.get_create_plist()
    layout = created.get_layout()
    if created.get_external_count():
        return f"its data would be read from another file, {_shown(created.get_external(0)[0])}"
    if layout == h5d.VIRTUAL:
        return "a virtual dataset, whose data would be read from other files"
    filters = {created.get_filter(k)[0] for k in range(created.get_nfilters())}
    if unknown := sorted(filters - FILTERS):
        return f"filter {unknown[0]}, which recordings do not use"
    return _size_fault(dataset, filters, created.get_chunk() if layout == h5d.CHUNKED else ())


def _size_fault(dataset: h5d.DatasetID, filters: set[int], chunk: tuple[int, ...]) -> str:
    chunk_bytes = math.prod(chunk) * dataset.get_type().get_size()
    if chunk_bytes > MOST_CHUNK_BYTES:
        return f"chunks of {chunk_bytes:.3g} bytes"
    declared, stored = _declared_bytes(dataset), dataset.get_storage_size()
    if declared > SMALL_BYTES + stored * max((EXPANSION.get(f, 1) for f in filters), default=1):
        return f"{declared:.3g} bytes declared, but only {stored} stored"
    return ""


def _declared_bytes(dataset: h5d.DatasetID) -> int:
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        return 0
    return int(math.prod(space.get_simple_extent_dims())) * int(dataset.get_type().get_size())


def _shown(name: bytes) -> str:
    text = printable(name.decode("utf-8", "replace"))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
