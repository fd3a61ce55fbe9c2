import numpy as np
import pytest

from wetloop.coding.decoder_config import RegionRatioConfig
from wetloop.coding.rechosen import RechosenConfig, layouts_read
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import RigInfo, Signal, SpikeBatch
from wetloop.kernels.records import SPIKE

LAYOUTS = (LayoutConfig(), LayoutConfig(flip=True), LayoutConfig(motor="strips"), LayoutConfig(block_um=400))
DECISION = 250
PLAYED = np.tile(np.repeat([1, 0], [7, 3]), 12)
"""Decisions in play and in pauses: twelve rallies."""


def context(layout=LAYOUTS[0], seed=1):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=25_000.0, probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit="mV",
        limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    return BuildContext(info, layout.apply(probe), StimGuard(info).prepare({}), DECISION, seed, ("move",))


def decoded(decoder, played):
    """Let a decoder see the same random spikes, 40 in each window; return its actions."""
    rng, actions = np.random.default_rng(5), []
    for k, playing in enumerate(played):
        spikes = np.zeros(40, SPIKE)
        spikes["channel_index"] = rng.integers(0, 64, 40)
        actions.append(decoder.decode(SpikeBatch(DECISION * k, DECISION * (k + 1), spikes), held=not playing)[0])
    return np.array(actions)


def told(played):
    decisions = np.zeros(len(played), [("playing", "u1")])
    decisions["playing"] = played
    return decisions


def test_each_rally_is_decoded_with_the_layout_that_was_chosen_for_it():
    actions = decoded(RechosenConfig(layouts=LAYOUTS).build(context()), PLAYED)
    each = np.array([decoded(RegionRatioConfig().build(context(layout)), PLAYED) for layout in LAYOUTS])
    read = layouts_read(1, len(LAYOUTS), told(PLAYED))
    assert actions.tolist() == each[read, np.arange(len(PLAYED))].tolist()
    assert len({tuple(row) for row in each.tolist()}) == len(LAYOUTS)


def test_all_layouts_are_read_equally_often_in_an_order_that_the_seed_decides():
    first = PLAYED.nonzero()[0][::7]
    rallies = layouts_read(1, len(LAYOUTS), told(PLAYED))[first]
    assert [sorted(block) for block in rallies.reshape(3, 4).tolist()] == [[0, 1, 2, 3]] * 3
    assert rallies.tolist() != layouts_read(2, len(LAYOUTS), told(PLAYED))[first].tolist()


def test_without_a_pause_nothing_is_chosen_anew():
    assert len(set(layouts_read(1, 2, told(np.ones(50))).tolist())) == 1
    one, other = (decoded(RechosenConfig().build(context(seed=seed)), np.ones(50)) for seed in (1, 1))
    assert one.tolist() == other.tolist()


def test_other_sensory_electrodes_are_refused():
    config = RechosenConfig(layouts=(LayoutConfig(), LayoutConfig(sensory_electrodes=4)))
    with pytest.raises(ConfigError, match=r"layouts\.1 has other sensory electrodes"):
        config.build(context())
