"""The recorded culture: every spike once, in order, whatever the packet."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from wetloop.core.errors import ConfigError
from wetloop.core.layout import positions_um
from wetloop.core.protocols import Source, Stimulator
from wetloop.core.types import Signal
from wetloop.kernels.records import SPIKE
from wetloop_drivers.recorded import RecordedConfig

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TIMES_S = [[100.001, 100.1, 100.1992], [100.05, 100.1], [], [100.00004, 100.199]]
WHERE_UM = np.array([[0.0, 200.0, 0.0, 200.0], [0.0, 0.0, 200.0, 200.0]])


@pytest.fixture
def spike_list(tmp_path):
    path = tmp_path / "culture.h5"
    with h5py.File(path, "w") as file:
        file["spikes"] = np.concatenate(TIMES_S)
        file["sCount"] = np.array([len(times) for times in TIMES_S], np.int32)
        file["epos"] = WHERE_UM
        file["names"] = np.array([b"a", b"b", b"c", b"d"])
        file["recordingtime"] = np.array([100.0, 100.2])
    return path


@pytest.fixture
def nwb(tmp_path):
    path = tmp_path / "session.nwb"
    with h5py.File(path, "w") as file:
        spikes = file.create_group("events/detected_spikes")
        spikes["sample_index"] = np.array([1005, 1030, 1029])
        spikes["known_sample"] = np.array([1020, 1045, 1045])
        spikes["electrode"] = np.array([1, 2, 0], np.int32)
        spikes["amplitude_uv"] = np.array([-30.0, -40.0, -50.0], np.float32)
        electrodes = file.create_group("general/extracellular_ephys/electrodes")
        electrodes["rel_x"], electrodes["rel_y"] = [0.0, 17.5, 35.0], [0.0, 0.0, 0.0]
        timing = file.create_group("acquisition/loop_timing")
        timing["start_sample"], timing["n_samples"] = [1000, 1020, 1040], [20, 20, 20]
        file["scratch/rig"] = json.dumps({"sampling_frequency": 20_000.0})
    return path


def play(path, reads=None, **options):
    """Return the blocks of a whole recording, or of that many reads."""
    source = RecordedConfig(path=str(path), **options).build(seed=1)
    source.open()
    blocks = []
    try:
        while reads is None or len(blocks) < reads:
            blocks.append(source.read())
    except EOFError:
        pass
    source.close()
    return blocks


def spikes_of(blocks):
    return np.concatenate([block.spikes for block in blocks])


def assert_in_order(blocks):
    for block in blocks:
        known = block.spikes["known_sample"]
        assert ((known >= block.start_sample) & (known < block.start_sample + block.n_samples)).all()
    spikes = spikes_of(blocks)
    assert (np.lexsort((spikes["channel_index"], spikes["known_sample"])) == np.arange(len(spikes))).all()
    ends = [block.start_sample + block.n_samples for block in blocks]
    assert [block.start_sample for block in blocks] == [0, *ends[:-1]]


def test_info_is_complete_before_opening(spike_list):
    source = RecordedConfig(path=str(spike_list), packet_ms=5).build(seed=1)
    assert isinstance(source, Source)
    assert isinstance(source, Stimulator)
    assert source.info.sampling_frequency == 25_000
    assert source.info.signal == Signal.SPIKES
    assert source.info.packet_samples == 125
    assert source.info.lead_samples >= 125 + source.info.frame_samples
    assert not source.info.reacts
    np.testing.assert_array_equal(positions_um(source.info.probe), WHERE_UM.T)


@pytest.mark.parametrize("packet_ms", [0.04, 1.0, 5.12, 34.0, 1000.0])
def test_every_spike_is_played_once_and_in_order(spike_list, packet_ms):
    blocks = play(spike_list, packet_ms=packet_ms)
    assert_in_order(blocks)
    expected = np.array(
        [(1, 1, 3, 0, 0), (25, 25, 0, 0, 0), (1250, 1250, 1, 0, 0), (2500, 2500, 0, 0, 0), (2500, 2500, 1, 0, 0),
         (4975, 4975, 3, 0, 0), (4980, 4980, 0, 0, 0)], SPIKE,
    )  # fmt: skip
    np.testing.assert_array_equal(spikes_of(blocks), expected)
    assert sum(block.n_samples for block in blocks) == 5001


def test_a_section_has_its_own_clock(spike_list):
    blocks = play(spike_list, start_s=0.05, stop_s=0.1)
    assert spikes_of(blocks)["sample_index"].tolist() == [0]
    assert sum(block.n_samples for block in blocks) == 1250


def test_a_loop_goes_on_counting(spike_list):
    once, blocks = play(spike_list, packet_ms=10), play(spike_list, reads=63, packet_ms=10, loop=True)
    assert len(once) == 21
    assert_in_order(blocks)
    spikes = spikes_of(blocks)
    for lap in range(3):
        part, first = spikes[7 * lap : 7 * lap + 7], spikes_of(once)
        np.testing.assert_array_equal(part["sample_index"], first["sample_index"] + 5001 * lap)
        np.testing.assert_array_equal(part["channel_index"], first["channel_index"])


def test_a_wetloop_recording_keeps_both_times_of_a_spike(nwb):
    blocks = play(nwb)
    assert_in_order(blocks)
    expected = np.array([(5, 20, 1, -30, 0), (29, 45, 0, -50, 0), (30, 45, 2, -40, 0)], SPIKE)
    np.testing.assert_array_equal(spikes_of(blocks), expected)
    assert sum(block.n_samples for block in blocks) == 60
    info = RecordedConfig(path=str(nwb)).build(seed=1).info
    assert (info.sampling_frequency, info.n_channels) == (20_000, 3)


def test_an_end_is_told_every_time(spike_list):
    source = RecordedConfig(path=str(spike_list), packet_ms=500).build(seed=1)
    source.open()
    source.read()
    for _ in range(2):
        with pytest.raises(EOFError, match="played to its end"):
            source.read()
    source.close()
    source.close()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"source\.path: there is no file .*absent\.h5"):
        RecordedConfig(path=str(tmp_path / "absent.h5")).build(seed=1)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "notes.h5").write_text("not HDF5")
    with pytest.raises(ConfigError, match="cannot be read as HDF5"):
        RecordedConfig(path=str(tmp_path / "notes.h5")).build(seed=1)


def test_a_foreign_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("recordingtime")
    with pytest.raises(ConfigError, match=r"holds no 'recordingtime': give a Wetloop recording, or a spike list"):
        RecordedConfig(path=str(tmp_path / "other.h5")).build(seed=1)


def test_counts_that_do_not_add_up_are_refused(spike_list):
    with h5py.File(spike_list, "a") as file:
        file["sCount"][0] = 4
    source = RecordedConfig(path=str(spike_list)).build(seed=1)
    with pytest.raises(ConfigError, match="sCount adds up to 8 spikes, but there are 7"):
        source.open()


def test_a_session_without_a_block_is_refused(nwb):
    with h5py.File(nwb, "a") as file:
        del file["acquisition/loop_timing"]
        file["acquisition/loop_timing/start_sample"] = np.empty(0, np.int64)
        file["acquisition/loop_timing/n_samples"] = np.empty(0, np.int64)
    with pytest.raises(ConfigError, match="holds no data"):
        RecordedConfig(path=str(nwb)).build(seed=1)


def test_a_section_outside_of_the_recording_is_refused(spike_list):
    with pytest.raises(ConfigError, match=r"source\.start_s: .* is 0\.20004 s long"):
        RecordedConfig(path=str(spike_list), start_s=9).build(seed=1)
    with pytest.raises(ValidationError, match="is not after"):
        RecordedConfig(path=str(spike_list), start_s=2, stop_s=1)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"real recordings are not at hand in {SHARED}")
@pytest.mark.parametrize("packet_ms", [10.0, 1024.0])
@pytest.mark.parametrize("name", ["C57_CTX_G2CEPHYS1_DIV14_TC02_A", "C57_CTX_G2CEPHYS1_TC11_DIV21_A"])
def test_a_real_culture_is_played_completely(name, packet_ms):
    path = SHARED / f"{name}.h5"
    blocks = play(path, packet_ms=packet_ms)
    assert_in_order(blocks)
    spikes = spikes_of(blocks)
    with h5py.File(path) as file:
        times_s, counts = file["spikes"][()], file["sCount"][()]
    assert (np.bincount(spikes["channel_index"]) == counts).all()
    by_channel = spikes[np.lexsort((spikes["sample_index"], spikes["channel_index"]))]
    np.testing.assert_allclose(by_channel["sample_index"] / 25_000, times_s, atol=2e-5)
    assert sum(block.n_samples for block in blocks) == pytest.approx(911.2 * 25_000, abs=1)
