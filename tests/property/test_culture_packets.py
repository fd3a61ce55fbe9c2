import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.culture.config import CultureConfig

SECONDS = 0.4
TRIGGERS = [(2000, 0), (2013, 1), (4024, 0), (4025, 1), (7500, 0)]


def played(packet_samples, signal, triggers=TRIGGERS):
    """Spikes and samples of a culture under the same pulses, read in packets of this size."""
    config = CultureConfig(signal=signal, packet_samples=packet_samples, settle_s=0.5, cells=200)
    culture = config.build(5)
    culture.open()
    pulse = Pulse.balanced(150, 200, "mV")
    culture.prepare(StimGuard(culture.info).prepare({"a": Pattern(pulse, (9,)), "b": Pattern(pulse, (27, 54))}))
    for at, pattern in triggers:
        culture.trigger(pattern, at)
    stop = round(SECONDS * 25000)
    blocks = [culture.read() for _ in range(-(-stop // packet_samples))]
    spikes = np.concatenate([b.spikes for b in blocks])
    return spikes[spikes["sample_index"] < stop], np.concatenate([b.samples for b in blocks])[:stop], blocks


@pytest.mark.parametrize("signal", ["spikes", "samples"])
@pytest.mark.parametrize("packet_samples", [125, 250, 128, 37])
def test_packets_of_usual_sizes_give_the_same_bytes(signal, packet_samples):
    spikes, samples, _ = played(25, signal)
    others, other_samples, _ = played(packet_samples, signal)
    assert spikes.tobytes() == others.tobytes()
    assert samples.tobytes() == other_samples.tobytes()
    assert len(spikes) > 10 or samples.any()


@given(st.integers(1, 400))
@settings(max_examples=10, deadline=None)
def test_spikes_of_a_packet_lie_inside_it(packet_samples):
    spikes, _, blocks = played(packet_samples, "spikes")
    for block in blocks:
        known = block.spikes["known_sample"]
        assert ((known >= block.start_sample) & (known < block.start_sample + packet_samples)).all()
    assert spikes.tobytes() == played(25, "spikes")[0].tobytes()


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 1)), max_size=20))
@settings(max_examples=10, deadline=None)
def test_the_order_of_triggers_does_not_matter(triggers):
    forward = played(128, "spikes", triggers)[0]
    assert forward.tobytes() == played(128, "spikes", triggers[::-1])[0].tobytes()
