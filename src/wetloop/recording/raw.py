"""Writes raw samples: gathered into whole chunks, which go past HDF5's filters where only a checksum is kept.

HDF5 copies and checks a chunk several times before it is on the disk; at a thousand channels that is most of the
recorder's work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5z

from wetloop.core.hdf5 import BITSHUFFLE
from wetloop.kernels.checksum import fletcher32

if TYPE_CHECKING:
    from wetloop.core.types import Samples
    from wetloop.recording.schema import Compression

CHECKSUM_BYTES = 4
LZ4 = 2
FILTERS: dict[Compression, dict[str, Any]] = {
    "none": {"fletcher32": True},
    "gzip": {"fletcher32": True, "compression": "gzip", "compression_opts": 1, "shuffle": True},
    "bitshuffle-lz4": {"fletcher32": True, "compression": BITSHUFFLE, "compression_opts": (0, LZ4)},
}
"""Of raw samples, checked always; tables are always in gzip. The first two any HDF5 can read without a plug-in."""
KNOWN: dict[frozenset[int], Compression] = {
    frozenset({h5z.FILTER_FLETCHER32}): "none",
    frozenset({h5z.FILTER_FLETCHER32, h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE}): "gzip",
    frozenset({h5z.FILTER_FLETCHER32, BITSHUFFLE}): "bitshuffle-lz4",
}
"""Each by its filters."""


class RawSamples:
    """The growing dataset of raw samples, int16 of shape (n_samples, n_channels), chunked over whole rows.

    Rows wait until they fill a chunk (a tenth of a second); ``finish`` writes those that do not.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._rows, self._n_channels = dataset.chunks
        self._direct = compression_of(dataset) == "none"
        self._chunk = np.zeros(2 * self._rows * self._n_channels + CHECKSUM_BYTES, np.uint8)
        self._samples = self._chunk[:-CHECKSUM_BYTES].view(np.int16).reshape(self._rows, self._n_channels)
        self._written, self._waiting = 0, 0

    def append(self, samples: Samples) -> None:
        """Take in copies of samples, shape (n_samples, n_channels)."""
        taken = 0
        while taken < len(samples):
            n = min(self._rows - self._waiting, len(samples) - taken)
            self._samples[self._waiting : self._waiting + n] = samples[taken : taken + n]
            taken, self._waiting = taken + n, self._waiting + n
            if self._waiting == self._rows:
                self._write()

    def append_stored(self, stored: bytes, filter_mask: int, n_rows: int) -> None:
        """Take in a chunk as another recording of the same compression stores it; of less rows only the last one.

        ``filter_mask`` is HDF5's of that chunk: it tells which filters were left out, as they would not have helped.
        """
        if self._waiting or self._written % self._rows:
            raise ValueError("a stored chunk belongs where a chunk begins")
        self._dataset.resize(self._written + n_rows, axis=0)
        self._dataset.id.write_direct_chunk((self._written, 0), stored, filter_mask)
        self._written += n_rows

    def finish(self) -> None:
        """Write the rows that fill no chunk; nothing can be appended afterwards."""
        if self._waiting:
            self._samples[self._waiting :] = 0
            self._write()

    def _write(self) -> None:
        start, n = self._written, self._waiting
        self._dataset.resize(start + n, axis=0)
        if self._direct:
            checksum = fletcher32(self._chunk[:-CHECKSUM_BYTES].view(np.uint16))
            self._chunk[-CHECKSUM_BYTES:] = np.frombuffer(checksum.to_bytes(CHECKSUM_BYTES, "little"), np.uint8)
            self._dataset.id.write_direct_chunk((start, 0), self._chunk)
        else:
            self._dataset[start:] = self._samples[:n]
        self._written, self._waiting = start + n, 0


def compression_of(dataset: h5py.Dataset) -> Compression | None:
    """Return how raw samples are stored; None for a way that no recording knows."""
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(k)[0] for k in range(properties.get_nfilters())}
    return KNOWN.get(frozenset(filters))
