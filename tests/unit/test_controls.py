"""Control decoders: what they show to the decoder they are put around, and what they leave alone."""

import numpy as np
import pytest
from pydantic import ValidationError

from wetloop import conditions
from wetloop.coding.controls import Control, ControlConfig
from wetloop.coding.decoder_config import ActionRegionsConfig, RegionRatioConfig
from wetloop.config import SessionConfig, parse_config
from wetloop.core.guard import StimGuard
from wetloop.core.layout import LayoutConfig, grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.plugin import BuildContext, DecoderConfig
from wetloop.core.types import RigInfo, Signal, SpikeBatch
from wetloop.kernels.records import SPIKE

DECISION, SECOND = 250, 25_000
RATES_HZ = np.linspace(0, 12, 64)


class Witness:
    """Takes note of what it is shown."""

    def __init__(self):
        self.seen = []

    def decode(self, batch, *, held):
        self.seen.append((batch, held))
        return np.array([len(batch.spikes)], float)


class WitnessConfig(DecoderConfig):
    kind: str = "witness"

    def build(self, context):
        return context.witness


def control(name, seed=1, actions=("paddle",)):
    probe = grid_probe(8, 8, 200.0)
    info = RigInfo(
        name="rig", sampling_frequency=float(SECOND), probe=probe, signal=Signal.SPIKES,
        gain_uv=np.ones(64, np.float32), packet_samples=25, lead_samples=50, unit="mV",
        limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    made = BuildContext(info, LayoutConfig().apply(probe), StimGuard(info).prepare({}), DECISION, seed, actions)
    object.__setattr__(made, "witness", Witness())
    return ControlConfig(control=name, decoder=WitnessConfig()).build(made), made.witness


def activity(n_decisions, seed=2):
    """Yield windows of Poisson activity whose rate differs from channel to channel."""
    rng = np.random.default_rng(seed)
    for k in range(n_decisions):
        spikes = np.zeros(0, SPIKE)
        channels = np.repeat(np.arange(64), rng.poisson(RATES_HZ / 100))
        spikes = np.zeros(len(channels), SPIKE)
        spikes["channel_index"] = channels
        spikes["known_sample"] = np.sort(rng.integers(k * DECISION, (k + 1) * DECISION, len(channels)))
        spikes["sample_index"] = spikes["known_sample"] - 10
        spikes["amplitude_uv"] = -20 - channels
        yield SpikeBatch(k * DECISION, (k + 1) * DECISION, spikes)


def played(name, n_decisions, **options):
    decoder, witness = control(name, **options)
    given = list(activity(n_decisions))
    actions = [decoder.decode(batch, held=False) for batch in given]
    return given, [batch for batch, _ in witness.seen], np.array(actions)


def test_zero_spikes_shows_silence():
    given, seen, _ = played("zero_spikes", 50)
    assert sum(len(batch.spikes) for batch in given) > 100
    assert all(len(batch.spikes) == 0 and batch.spikes.dtype == SPIKE for batch in seen)
    assert [batch[:2] for batch in seen] == [batch[:2] for batch in given]


def test_shuffled_channels_keeps_times_and_totals_but_no_place():
    given, seen, _ = played("shuffled_channels", 3000)
    for a, b in zip(given, seen, strict=True):
        assert (a.spikes[["sample_index", "known_sample"]] == b.spikes[["sample_index", "known_sample"]]).all()
        per_channel = [np.bincount(s.spikes["channel_index"], minlength=64) for s in (a, b)]
        assert sorted(per_channel[0]) == sorted(per_channel[1])
    counts = np.bincount(np.concatenate([b.spikes["channel_index"] for b in seen]), minlength=64)
    assert abs(np.corrcoef(counts, RATES_HZ)[0, 1]) < 0.4
    assert counts.min() > 0.7 * counts.mean()


def test_a_new_permutation_is_drawn_for_every_window():
    decoder, witness = control("shuffled_channels")
    spikes = np.zeros(64, SPIKE)
    spikes["channel_index"] = np.arange(64)
    for k in range(20):
        decoder.decode(SpikeBatch(k, k + 1, spikes), held=False)
    orders = {tuple(batch.spikes["channel_index"].tolist()) for batch, _ in witness.seen}
    assert len(orders) == 20
    assert all(sorted(order) == list(range(64)) for order in orders)
    assert spikes["channel_index"].tolist() == list(range(64))


def test_poisson_spikes_have_the_culture_s_rates_and_nothing_else_of_it():
    given, seen, _ = played("poisson_spikes", 12_000)
    late = slice(2000, None)
    rates = [
        np.bincount(np.concatenate([b.spikes["channel_index"] for b in batches[late]]), minlength=64) / 100
        for batches in (given, seen)
    ]
    np.testing.assert_allclose(rates[1], rates[0], atol=4.5 * np.sqrt(2 * RATES_HZ.max() / 100))
    assert rates[1].sum() == pytest.approx(rates[0].sum(), rel=0.03)
    totals = np.array([[len(b.spikes) for b in batches[late]] for batches in (given, seen)])
    assert abs(np.corrcoef(totals)[0, 1]) < 0.04
    assert totals[1].var() / totals[1].mean() == pytest.approx(1, abs=0.06)


def test_poisson_spikes_lie_in_their_window_in_order():
    _, seen, _ = played("poisson_spikes", 500)
    phases = []
    for batch in seen:
        known = batch.spikes["known_sample"]
        assert ((known >= batch.start_sample) & (known < batch.stop_sample)).all()
        assert (np.diff(known) >= 0).all()
        phases.extend((known - batch.start_sample).tolist())
        silent = batch.spikes["amplitude_uv"] == 0
        assert (batch.spikes["amplitude_uv"][~silent] == -20 - batch.spikes["channel_index"][~silent]).all()
        assert not silent.any()
    assert np.histogram(phases, 5, (0, DECISION))[0] == pytest.approx(len(phases) / 5, rel=0.15)


def test_a_window_s_own_spikes_do_not_pass_as_poisson_spikes():
    decoder, witness = control("poisson_spikes")
    first = next(activity(1))
    decoder.decode(first, held=False)
    assert len(first.spikes) > 0
    assert len(witness.seen[0][0].spikes) == 0


def test_random_actions_are_uniform_and_deaf():
    actions = played("random_actions", 5000, actions=("turn", "attack"))[2]
    assert actions.shape == (5000, 2)
    assert (np.abs(actions) <= 1).all()
    for column in actions.T:
        assert np.histogram(column, 10, (-1, 1))[0] == pytest.approx(500, rel=0.2)
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.05
    decoder, _ = control("random_actions", actions=("turn", "attack"))
    empty = SpikeBatch(0, DECISION, np.zeros(0, SPIKE))
    assert [decoder.decode(empty, held=False).tolist() for _ in range(5)] == actions[:5].tolist()


@pytest.mark.parametrize("name", conditions.CONTROLS)
def test_held_windows_change_nothing_and_seeds_decide(name):
    def actions(seed, *, interrupted):
        decoder, witness = control(name, seed)
        for batch in activity(200):
            if interrupted:
                decoder.decode(batch, held=True)
            yield decoder.decode(batch, held=False)[0]
            yield [shown.spikes.tobytes() for shown, held in witness.seen if not held]

    assert list(actions(1, interrupted=False)) == list(actions(1, interrupted=True))
    assert (list(actions(1, interrupted=False)) == list(actions(2, interrupted=False))) == (name == "zero_spikes")


@pytest.mark.parametrize("name", conditions.CONTROLS)
def test_a_control_exchanges_the_decoder_and_nothing_else(name):
    config = parse_config("", "x.yaml", [f"condition={name}"])
    plain, played_config = config.model_dump(), conditions.applied(config)
    assert played_config.decoder.decoder == config.decoder
    assert {**played_config.model_dump(), "decoder": plain["decoder"]} == plain
    assert conditions.applied(parse_config("", "x.yaml")).decoder == config.decoder


def test_a_control_answers_for_its_decoder():
    scores = ControlConfig(control="zero_spikes", decoder=ActionRegionsConfig())
    value = ControlConfig(control="zero_spikes", decoder=RegionRatioConfig())
    assert scores.gives_scores()
    assert not value.gives_scores()
    assert not value.fitted()
    with pytest.raises(ValidationError):
        ControlConfig(control="other", decoder=RegionRatioConfig())


def test_every_condition_is_known_and_says_what_it_rules_out():
    named = set(SessionConfig.model_fields["condition"].annotation.__args__)
    assert named == set(conditions.EXCHANGED) | set(conditions.CONTROLS)
    assert set(conditions.CONTROLS) == set(Control.__args__)
    assert set(conditions.RULES_OUT) == named - {"stimulus"}
