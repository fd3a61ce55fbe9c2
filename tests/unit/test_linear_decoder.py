"""The linear decoder: its arithmetic, its file of weights, and what it refuses."""

import dataclasses
import json

import numpy as np
import pytest
from pydantic import ValidationError

from wetloop.coding.activity import ChannelRates
from wetloop.coding.decoder_config import RegionRatioConfig
from wetloop.coding.linear_config import LinearConfig, LinearWeights
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext
from wetloop.core.types import RigInfo, Signal, SpikeBatch
from wetloop.kernels.records import SPIKE

DECISION, SECOND = 250, 25_000


def context(*actions, regions=2, seed=1):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit="mV",
        limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    layout = LayoutConfig(regions=regions, motor="strips").apply(probe)
    return BuildContext(info, layout, StimGuard(info).prepare({}), DECISION, seed, actions)


def window(made, counts, index=0):
    """Return a decision's spikes: so many in each region, and one outside of all."""
    channels = [np.resize(np.flatnonzero(made.layout.regions == r), n) for r, n in enumerate(counts)]
    spikes = np.zeros(sum(counts) + 1, SPIKE)
    spikes["channel_index"] = np.concatenate([*channels, np.flatnonzero(made.layout.regions < 0)[:1]])
    return SpikeBatch(index * DECISION, (index + 1) * DECISION, spikes)


class Player:
    """A decoder, and the decisions that it has made."""

    def __init__(self, config, made):
        self.decoder, self.made, self.index = config.build(made), made, 0

    def __call__(self, *counts, held=False):
        self.index += 1
        return self.decoder.decode(window(self.made, counts, self.index), held=held)


def weights(made, **changed):
    channels = tuple(np.flatnonzero(made.layout.regions >= 0).tolist())
    rng = np.random.default_rng(4)
    plain = {
        "target": "action", "outputs": ("turn",), "channels": channels, "smoothing_ms": 50, "lags": 2, "lag_ms": 30,
        "alpha": 1, "decisions": 1000, "folds": 5, "held_out_r2": (0.4,), "recordings": ("x",), "intercept": (0.1,),
        "weights": (tuple(rng.normal(0, 0.01, 2 * len(channels)).tolist()),),
    }  # fmt: skip
    return LinearWeights.model_validate(plain | changed).signed()


def test_the_linear_decoder_is_a_weighted_sum_of_lagged_rates():
    made = context("turn")
    given_weights = weights(made)
    play = Player(LinearConfig(weights=given_weights), made)
    rng = np.random.default_rng(6)
    rate, past = np.zeros(len(given_weights.channels)), []
    for _ in range(200):
        counts = rng.poisson((3, 2))
        spikes = window(made, counts).spikes["channel_index"]
        seen = np.array([(spikes == c).sum() for c in given_weights.channels]) / 0.01
        rate = rate + 0.01 / 0.06 * (seen - rate)
        past.append(rate)
        lagged = np.concatenate([rate, past[-4] if len(past) > 3 else 0 * rate])
        expected = np.clip(np.dot(lagged, given_weights.weights[0]) + 0.1, -1, 1)
        assert play(*counts)[0] == pytest.approx(expected, abs=1e-9)
        assert play(30, 0, held=True).tolist() == [0]


def test_sums_are_taken_in_order():
    made = context("turn")
    given_weights = weights(made, lags=1, weights=(tuple(weights(made).weights[0][: len(weights(made).channels)]),))
    rates = ChannelRates(given_weights.channels, 64, 0.01, smoothing_ms=50, lags=1, lag_ms=30)
    play = Player(LinearConfig(weights=given_weights), made)
    for k in range(50):
        total = 0.0
        for weight, hz in zip(given_weights.weights[0], rates.update(window(made, (k % 7, 3)).spikes), strict=True):
            total += weight * hz
        assert play(k % 7, 3)[0] == min(1, max(-1, 0.1 + total))


def test_weights_come_from_a_file_and_are_stored_whole(tmp_path, monkeypatch):
    path = tmp_path / "w.json"
    path.write_text(weights(context("paddle"), outputs=("paddle",)).model_dump_json())
    (tmp_path / "session.yaml").write_text("decoder: {kind: linear, weights: w.json}")
    monkeypatch.chdir("/")
    config = parse_config((tmp_path / "session.yaml").read_text(), str(tmp_path / "session.yaml"))
    path.unlink()
    again = type(config).model_validate_json(config.model_dump_json())
    assert again.decoder == config.decoder
    assert config.decoder.fitted()
    assert config.decoder.weights.sha256 == weights(context("paddle"), outputs=("paddle",)).sha256
    assert not config.model_copy(update={"decoder": RegionRatioConfig()}).decoder.fitted()


def test_weights_that_were_changed_are_refused():
    plain = json.loads(weights(context("turn")).model_dump_json())
    assert LinearConfig.model_validate({"weights": plain}).fitted()
    for change in ({"intercept": [0.2]}, {"recordings": ["y"]}, {"sha256": ""}):
        with pytest.raises(ValidationError, match=r"do not match their sha256"):
            LinearConfig.model_validate({"weights": plain | change})
    with pytest.raises(ValidationError, match=r"each row of weights 96 values \(2 lags of 48 channels\)"):
        LinearConfig.model_validate({"weights": plain | {"weights": [[1.0]]}})


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("{", "is not JSON"), ("3", "valid dictionary")]
)
def test_files_that_hold_no_weights_are_refused(tmp_path, content, said):
    path = tmp_path / "w.json"
    if content:
        path.write_text(content)
    with pytest.raises(ValidationError, match=said):
        LinearConfig(weights=str(path))


def test_weights_for_another_task_or_layout_are_refused():
    made = context("turn")
    for task in (context("forward"), context("turn", "forward")):
        with pytest.raises(ConfigError, match=r"was fitted to turn, but the task takes"):
            LinearConfig(weights=weights(made)).build(task)
    narrow = dataclasses.replace(made, layout=dataclasses.replace(made.layout, regions=made.layout.regions * 0 - 1))
    with pytest.raises(ConfigError, match=r"no motor region of this layout"):
        LinearConfig(weights=weights(made)).build(narrow)
