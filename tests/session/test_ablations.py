"""What an ablation keeps is kept, what it takes away is gone, and a session on the rest runs and replays."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from wetloop.core.errors import ConfigError
from wetloop.replay import verify
from wetloop_drivers.recorded import RecordedConfig

SAMPLE = Path(__file__).parents[2] / "recordings" / "sample-culture.nwb"
N_SAMPLES = 60 * 25_000
ABLATIONS = ("poisson", "shuffled_channels", "shuffled_time", "silence")


def spikes_of(ablation, seed=1, path=SAMPLE, **options):
    source = RecordedConfig(path=str(path), ablation=ablation, packet_ms=1000, **options).build(seed)
    assert not source.info.reacts
    source.open()
    blocks = []
    try:
        while True:
            blocks.append(source.read().spikes)
    except EOFError:
        source.close()
    return np.concatenate(blocks)


def counts(spikes, bin_s=None):
    """Return the number of spikes of each channel, in each bin."""
    n_bins = 1 if bin_s is None else round(60 / bin_s)
    bins = spikes["known_sample"] * n_bins // N_SAMPLES
    table = np.zeros((64, n_bins), int)
    np.add.at(table, (spikes["channel_index"], bins), 1)
    return table


def mean_correlation(spikes):
    """Return the mean correlation of the channels' counts in 10 ms, over all pairs of active channels."""
    table = counts(spikes, 0.01)
    table = table[table.sum(axis=1) > 50]
    together = np.corrcoef(table)
    return together[np.triu_indices(len(together), 1)].mean()


@pytest.fixture(scope="module")
def recorded():
    return spikes_of("none")


def test_the_recorded_channels_are_correlated(recorded):
    assert mean_correlation(recorded) > 0.1


def test_poisson_keeps_the_rate_of_each_channel_and_second(recorded):
    drawn = spikes_of("poisson")
    before, after = counts(recorded, 1.0), counts(drawn, 1.0)
    deviation = (after - before) / np.sqrt(np.maximum(before, 1))
    assert (after[before == 0] == 0).all()
    assert np.abs(deviation).max() < 6
    assert 0.8 < deviation[before > 0].std() < 1.2
    assert mean_correlation(drawn) < 0.3 * mean_correlation(recorded)


def test_long_bins_leave_nothing_but_the_mean_rate(recorded):
    drawn = spikes_of("poisson", ablation_bin_s=1e3)
    assert abs(mean_correlation(drawn)) < 0.01
    assert len(drawn) == pytest.approx(len(recorded), rel=0.05)


def test_shuffled_channels_keep_every_time_and_every_count(recorded):
    shuffled = spikes_of("shuffled_channels")
    assert (np.sort(shuffled["known_sample"]) == np.sort(recorded["known_sample"])).all()
    assert (np.sort(shuffled["sample_index"]) == np.sort(recorded["sample_index"])).all()
    assert (counts(shuffled) == counts(recorded)).all()
    assert (counts(shuffled, 0.01) != counts(recorded, 0.01)).any()
    places = np.column_stack([shuffled["channel_index"], shuffled["amplitude_uv"]])
    own = np.column_stack([recorded["channel_index"], recorded["amplitude_uv"]])
    assert {tuple(place) for place in places} == {tuple(place) for place in own}


def test_shuffled_time_keeps_every_interval_of_a_channel(recorded):
    shuffled = spikes_of("shuffled_time")
    for channel in range(64):
        before, after = (np.sort(s["known_sample"][s["channel_index"] == channel]) for s in (recorded, shuffled))
        around = [np.sort(np.diff(np.append(times, times[:1] + N_SAMPLES))) for times in (before, after)]
        assert (around[0] == around[1]).all()
    assert abs(mean_correlation(shuffled)) < 0.01


def test_silence_is_silent():
    assert not len(spikes_of("silence"))


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_spikes_stay_in_order_and_as_long_known_after_their_peaks(recorded, ablation):
    spikes = spikes_of(ablation)
    assert (np.diff(spikes["known_sample"]) >= 0).all()
    assert spikes["known_sample"].min(initial=0) >= 0
    delays = {*(spikes["known_sample"] - spikes["sample_index"]).tolist()}
    assert delays <= {*(recorded["known_sample"] - recorded["sample_index"]).tolist()}


@pytest.mark.parametrize("ablation", ABLATIONS[:3])
def test_a_seed_decides(ablation):
    assert (spikes_of(ablation, seed=1) == spikes_of(ablation, seed=1)).all()
    one, other = spikes_of(ablation, seed=1), spikes_of(ablation, seed=2)
    assert len(one) != len(other) or (one != other).any()


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_foreign_spike_lists_can_be_ablated(tmp_path, ablation):
    with h5py.File(tmp_path / "culture.h5", "w") as file:
        file["spikes"] = np.concatenate([np.arange(0.0, 60, 0.1), np.arange(0.05, 60, 0.2)])
        file["sCount"], file["epos"] = [600, 300], [[0.0, 200.0], [0.0, 0.0]]
        file["recordingtime"] = [0.0, 60.0]
    n = len(spikes_of(ablation, path=tmp_path / "culture.h5"))
    assert n == {"silence": 0, "poisson": pytest.approx(900, rel=0.15)}.get(ablation, 900)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_a_session_on_ablated_spikes_runs_and_verifies(play, ablation):
    summary = play("source.kind=recorded", f"source.path={SAMPLE}", f"source.ablation={ablation}", "duration=6")
    assert not summary.reacts
    assert (summary.spikes > 0) == (ablation != "silence")
    assert verify(summary.file).differences == []


def test_a_source_that_leads_into_another_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "culture.h5", "w") as file:
        file["spikes"] = h5py.ExternalLink(SAMPLE, "/events/detected_spikes/timestamp")
    with pytest.raises(ConfigError, match=r"source\.path: .*spikes: a link into another file.*source\.trust"):
        RecordedConfig(path=str(tmp_path / "culture.h5")).build(seed=1)
