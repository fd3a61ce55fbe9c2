"""Raw samples on their way from the ring to the file, and the checksums that stand beside them."""

import io
import itertools

import h5py
import numpy as np
import pytest

from wetloop.core.types import Block
from wetloop.engine.engine import RingReader
from wetloop.engine.live import PACKET, Packets, push_block
from wetloop.kernels.checksum import fletcher32
from wetloop.kernels.records import SPIKE
from wetloop.kernels.rings import ENGINE, new_ring
from wetloop.recording.process import MARGIN, PacketReader
from wetloop.recording.raw import FILTERS, RawSamples

RNG = np.random.default_rng(1)
N, CHANNELS = 25, 4


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 1000, 70_000])
@pytest.mark.parametrize("values", [(-32768, 32767), (0, 0), (-1, -1), (256, 256), (1, 1)])
def test_checksums_are_those_of_hdf5(n, values):
    words = RNG.integers(values[0], values[1] + 1, n).astype("<i2")
    with h5py.File(io.BytesIO(), "w") as file:
        stored = file.create_dataset("x", data=words, chunks=(n,), fletcher32=True).id.read_direct_chunk((0,))[1]
    assert fletcher32(words.view("<u2")) == int.from_bytes(stored[-4:], "little")


@pytest.mark.parametrize("compression", FILTERS)
@pytest.mark.parametrize("n_samples", [0, 7, 64, 1000])
def test_samples_come_back_whatever_their_number(compression, n_samples):
    pytest.importorskip("hdf5plugin")
    samples = RNG.integers(-3000, 3000, (n_samples, CHANNELS)).astype(np.int16)
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset(
            "x", (0, CHANNELS), "i2", maxshape=(None, CHANNELS), chunks=(64, CHANNELS), **FILTERS[compression]
        )
        raw = RawSamples(dataset)
        for part in np.array_split(samples, 7):
            raw.append(part)
        raw.finish()
        assert (dataset[:] == samples).all()
        assert dataset.shape == samples.shape
        if compression == "none" and n_samples == 1000:
            flipped = bytearray(dataset.id.read_direct_chunk((64, 0))[1])
            flipped[5] ^= 1
            dataset.id.write_direct_chunk((64, 0), bytes(flipped))
            with pytest.raises(OSError, match="filter returned failure"):
                dataset[64:128]


class Line:
    """A ring of packets whose engine keeps up, and the recorder's reader."""

    def __init__(self, depth):
        ring = new_ring(PACKET, depth, ENGINE)
        samples = np.zeros((depth, N, CHANNELS), np.int16)
        self.packets = Packets(ring, samples, np.zeros((depth, 1), SPIKE))
        self.engine, self.reader = RingReader(ring, ENGINE), PacketReader(self.packets, keep_samples=True)

    def send(self, start, stop, lost=0):
        rows = np.arange(start, stop)[:, None] + np.zeros(CHANNELS, int)
        assert push_block(self.packets, Block(start, stop - start, rows.astype(np.int16), np.zeros(0, SPIKE), lost))
        self.engine.take()

    def read(self):
        parts = [part.copy() for part in self.reader.take()]
        return np.concatenate(parts)[:, 0].tolist() if parts else []


def test_packets_of_any_size_are_read_once_and_in_order():
    line = Line(4 * MARGIN)
    edges = [0, 25, 50, 51, 60, 85, *range(110, 110 + 25 * 300, 25)]
    read = []
    for k, (start, stop) in enumerate(itertools.pairwise(edges)):
        line.send(start, stop)
        if k % 50 == 0:
            read += line.read()
    read += line.read()
    assert read == list(range(edges[-1]))
    assert line.reader.missed_samples == 0


def test_a_lapped_reader_puts_zeros_where_it_missed_and_counts_them():
    line, n = Line(2 * MARGIN), 5 * MARGIN
    line.send(1, 26)
    assert line.read() == list(range(1, 26))
    for k in range(1, n):
        line.send(1 + 25 * k, 26 + 25 * k)
    read = line.read()
    missed = line.reader.missed_samples
    assert missed > 0
    assert read[:missed] == [0] * missed
    assert read[missed:] == list(range(26 + missed, 1 + 25 * n))


def test_what_the_rig_lost_is_no_row():
    line = Line(2 * MARGIN)
    line.send(0, 25)
    line.send(75, 100, lost=50)
    assert line.read() == [*range(25), *range(75, 100)]
    assert line.reader.missed_samples == 0
