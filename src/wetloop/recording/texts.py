"""The JSON texts of a recording, each with a checksum, for HDF5 checks none of a single text."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from wetloop.recording import schema

if TYPE_CHECKING:
    import h5py

CHECKSUM_ATTRIBUTE = "crc32"
"""CRC-32 of the text in UTF-8; recordings of before it was introduced have none."""


def write_text(file: h5py.File, name: str, text: str) -> None:
    """Put a text in the place of the one that is there."""
    dataset = file[f"{schema.SCRATCH}/{name}"]
    dataset[()] = text
    dataset.attrs[CHECKSUM_ATTRIBUTE] = np.uint32(zlib.crc32(text.encode()))


def read_text(file: h5py.File, name: str) -> str:
    """Return a text.

    Raises
    ------
    ValueError
        Where it is not what was written.
    """
    dataset = file[f"{schema.SCRATCH}/{name}"]
    text: str = dataset.asstr()[()]
    if not is_intact(dataset):
        raise ValueError(f"{dataset.name} is damaged: its text and its checksum disagree")
    return text


def is_intact(dataset: h5py.Dataset) -> bool:
    """Tell whether a text is what was written, as far as it has a checksum."""
    expected = dataset.attrs.get(CHECKSUM_ATTRIBUTE)
    return expected is None or zlib.crc32(dataset[()]) == expected
