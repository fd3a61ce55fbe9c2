"""Artefacts and evoked spikes are recorded and marked, but no decoder is given them."""

from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest

from wetloop import assembly, stages
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.layout import grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.types import Block, RigInfo, Signal
from wetloop.engine.exclusion import ExclusionConfig
from wetloop.kernels.records import DELIVERED, EXCLUSIONS, KINDS, SPIKE
from wetloop.recording.reader import Recording
from wetloop.replay import compare, verify
from wetloop.session import Session

MS = 25
ARTEFACT, RESPONSE = 1 * MS, 20 * MS
WINDOWS = ("exclusion.artefact_ms=[0, 5]", "exclusion.evoked_ms=[5, 15]")


class Answering:
    """A rig that answers each pulse with an artefact after 1 ms and a response after 20 ms, on channels 20 and 40."""

    def __init__(self, signal, packet):
        self.info = RigInfo(
            name="answering", sampling_frequency=25000.0, probe=grid_probe(8, 8, 200.0), signal=signal,
            gain_uv=np.full(64, 0.2, np.float32), packet_samples=packet, lead_samples=250, unit="mV",
            limits=StimLimits(), electrode_area_um2=707.0, access_resistance_kohm=12.0,
        )  # fmt: skip
        self._at, self._due, self._rng = 0, [], np.random.default_rng(5)

    def open(self):
        pass

    def read(self):
        start, stop = self._at, self._at + self.info.packet_samples
        self._at = stop
        mine = sorted(at for at in self._due if start <= at[0] < stop)
        self._due = [at for at in self._due if at[0] >= stop]
        rows = np.zeros(len(mine), SPIKE)
        for row, (sample, channel) in zip(rows, mine, strict=True):
            row["sample_index"] = row["known_sample"] = sample
            row["channel_index"], row["excluded"] = channel, 7
        if self.info.signal is Signal.SPIKES:
            return Block(start, stop - start, np.zeros((0, 64), np.int16), rows)
        samples = self._rng.normal(0, 25, (stop - start, 64)).astype(np.int16)
        for sample, channel in mine:
            samples[sample - start, channel] = -4000
        return Block(start, stop - start, samples, rows[:0])

    def prepare(self, table):
        pass

    def trigger(self, pattern, at_sample):
        _ = pattern
        self._due += [(at_sample + ARTEFACT, 20), (at_sample + RESPONSE, 40)]

    def silence(self):
        pass

    def close(self):
        pass


class Watched:
    """A decoder, and the spikes that it was given."""

    def __init__(self, decoder):
        self._decoder, self.given = decoder, []

    def decode(self, batch, *, held):
        self.given.append(batch.spikes)
        return self._decoder.decode(batch, held=held)


@pytest.fixture
def answered(tmp_path):
    """Play on the answering rig; return what the decoder was given, and what was recorded."""

    def play(signal, packet, *settings):
        overrides = [f"recording.folder={tmp_path}", "duration=4", "feedback=none", "plan_ms=20", *settings]
        config = parse_config("", "test.yaml", overrides)
        source = Answering(signal, packet)
        setting = assembly.setting_on(source.info, config)
        players = assembly.players(setting)
        watched = Watched(players.decoder)
        stage = stages.stepped_stage(setting, source, players.task)
        with stage.rig:
            Session(stage.rig, replace(players, decoder=watched), stage.log).run(400, Event())
        stage.log.finish({})
        with Recording(stage.log.path) as recording:
            return SimpleNamespace(
                path=stage.log.path, config=config, given=np.concatenate(watched.given), spikes=recording.spikes(),
                pulses=recording.pulses(), decisions=recording.decisions(),
            )  # fmt: skip

    return play


STEADY = ("encoder.min_rate_hz=8", "encoder.max_rate_hz=8")


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("packet", [25, 37, 125])
def test_an_artefact_is_not_decoded_and_the_response_after_it_is(answered, signal, packet):
    got = answered(signal, packet, "detection.blank_ms=0", *WINDOWS, *STEADY)
    pulses = got.pulses["sample_index"][got.pulses["fate"] == DELIVERED]
    inside = pulses[(pulses > 20000) & (pulses < 95000)]
    assert len(inside) > 20
    near = [np.flatnonzero(np.abs(got.spikes["sample_index"] - p - ARTEFACT) < 5) for p in inside]
    assert all(set(got.spikes["excluded"][k]) == {EXCLUSIONS.index("artefact")} for k in near)
    assert min(map(len, near)) >= 1
    late = [np.abs(got.given["sample_index"] - p - RESPONSE).min() for p in inside]
    assert max(late) < 5
    since = got.given["sample_index"] - pulses[np.searchsorted(pulses, got.given["sample_index"], "right") - 1]
    assert since[got.given["sample_index"] > pulses[0]].min() >= 15 * MS
    assert len(got.given) == got.decisions["n_spikes"].sum()
    assert verify(got.path).differences == []


def test_by_default_everything_is_decoded_whatever_a_source_writes(answered):
    got = answered(Signal.SPIKES, 25, "detection.blank_ms=0", *STEADY)
    assert set(got.spikes["excluded"]) == {0}
    assert set(got.given["channel_index"]) == {20, 40}


def test_blanking_comes_before_exclusion(answered):
    got = answered(Signal.SPIKES, 25, "detection.blank_ms=2", *WINDOWS, *STEADY)
    assert set(got.spikes["channel_index"]) == {40}


def test_another_decoder_is_given_the_same_spikes(answered):
    got = answered(Signal.SPIKES, 25, "detection.blank_ms=0", *WINDOWS, *STEADY)
    assert compare(got.path, got.config).different == 0


def marks(spikes, pulses, windows, kinds):
    """Return what each spike should be marked with, pulse by pulse."""
    pulses = pulses[(pulses["fate"] == DELIVERED) & np.isin(pulses["kind"], [KINDS.index(kind) for kind in kinds])]
    expected = np.zeros(len(spikes), int)
    for pulse in np.sort(pulses["sample_index"]):
        after = spikes["sample_index"] - pulse
        for code in (2, 1):
            first, last = windows[code - 1]
            expected[(after >= first * MS) & (after < last * MS)] = code
    return expected


REFLEX = ("reflex.function=echo", "reflex.patterns={far: {channels: [60]}}", "reflex.parameters=[3]")


@pytest.mark.parametrize(
    ("signal", "kinds"),
    [("spikes", KINDS), ("spikes", ("reflex", "random")), ("spikes", ("sensory",)), ("samples", KINDS)],
)
def test_marks_follow_every_kind_of_pulse_in_packets_of_any_size(play, rows, signal, kinds):
    chosen, marked = f"exclusion.kinds=[{', '.join(kinds)}]", []
    for packet in (25, 37):
        packets = (f"source.packet_samples={packet}", "source.lead_ms=6")
        summary = play(
            f"source.signal={signal}",
            *packets,
            "duration=10",
            "source.cells=300",
            "task.crossing_s=0.5",
            *WINDOWS,
            chosen,
            *REFLEX,
        )
        got = rows(summary)
        expected = marks(got["spikes"], got["pulses"], ((0, 5), (5, 15)), kinds)
        assert got["spikes"]["excluded"].tolist() == expected.tolist()
        assert set(expected) == {0, 1, 2}
        end = got["decisions"]["stop_sample"][-1]
        decoded = (expected == 0) & (got["spikes"]["known_sample"] < end)
        assert got["decisions"]["n_spikes"].sum() == decoded.sum() == summary.spikes
        report = verify(summary.file)
        assert report.differences == []
        marked.append(got["spikes"][got["spikes"]["known_sample"] < 240_000].tolist())
    assert marked[0] == marked[1]


def test_an_excluded_spike_moves_no_reflex(answered):
    reflex = ("reflex.function=echo", "reflex.patterns={far: {channels: [60]}}", "detection.blank_ms=0")
    for channel, reacts in ((20, False), (40, True)):
        got = answered(Signal.SPIKES, 25, *reflex, f"reflex.parameters=[{channel}]", *WINDOWS, *STEADY)
        assert (KINDS.index("reflex") in got.pulses["kind"]) == reacts


@pytest.mark.parametrize("window", ["[5, 5]", "[6, 5]", "[-1, 5]", "[0]", "5", "[0, .nan]"])
def test_a_window_that_is_none_is_refused(window):
    with pytest.raises(ConfigError, match="exclusion"):
        parse_config("", "test.yaml", [f"exclusion.artefact_ms={window}"])


def test_every_kind_of_pulse_is_followed_by_default():
    assert ExclusionConfig().kinds == KINDS
