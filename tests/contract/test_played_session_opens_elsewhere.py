"""The tools of the field open a session that was really played, with the values that Wetloop reads itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import wetloop
from wetloop.config import parse_config
from wetloop.kernels.records import DELIVERED
from wetloop.recording.spikes_only import write_spikes_only
from wetloop.replay import verify
from wetloop.session import run_session

RATE_HZ = 25_000.0
SETTINGS = (
    "duration=20", "seed=1", "task.crossing_s=0.5", "source.signal=samples", "recording.raw_samples=true",
    "recording.frames=grey", "recording.name=played",
)  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Twenty seconds of Pong on samples, with raw samples and pictures kept."""
    folder = tmp_path_factory.mktemp("played")
    config = parse_config("", "test.yaml", [*SETTINGS, f"recording.folder={folder}"])
    return Path(run_session(config, accelerated=True).file)


@pytest.fixture(scope="module")
def small(played):
    """The same without raw samples and pictures."""
    out = played.with_name("small.nwb")
    write_spikes_only(played, out)
    return out


@pytest.fixture(scope="module")
def opened(played):
    with wetloop.open(played) as opened:
        yield opened


@pytest.fixture(params=["played", "small"])
def file(request):
    return request.getfixturevalue(request.param)


def peaks_of(opened, channel):
    spikes = opened.spikes.numpy()
    return np.sort(spikes["sample_index"][spikes["channel_index"] == channel])


def busiest(opened):
    return int(np.bincount(opened.spikes["channel_index"]).argmax())


def test_pynwb_validates_it(file):
    from pynwb import NWBHDF5IO, validate

    with NWBHDF5IO(file, "r") as io:
        assert validate(io=io) == []


def test_nwbinspector_has_nothing_but_advice(file):
    from nwbinspector import Importance, inspect_nwbfile

    found = list(inspect_nwbfile(nwbfile_path=file))
    worse = [m for m in found if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value]
    assert [(m.check_function_name, m.message) for m in worse] == []


def test_pynwb_shows_what_was_played(opened, file):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(file, "r") as io:
        nwb = io.read()
        assert nwb.trials["hits"][:].tolist() == opened.episodes["hits"].numpy().tolist()
        assert nwb.trials["ended_by"][:].tolist() == opened.episodes["ended_by"].numpy().tolist()
        assert (nwb.epochs["condition"][0], nwb.epochs["stop_time"][0]) == ("stimulus", 20.0)
        behavior = nwb.processing["behavior"]
        np.testing.assert_array_equal(behavior["game_state"].data, opened.decisions["observation"])
        np.testing.assert_array_equal(behavior["decoder"].data, opened.decisions["action"])
        assert behavior["game_state"].rate == 100.0
        assert_pulses(nwb.events["stimulation"], opened)


def test_whoever_was_in_the_dish_stands_in_the_file(tmp_path):
    from nwbinspector import inspect_nwbfile
    from pynwb import NWBHDF5IO

    told = ["culture_id=d/3", "species=Rattus norvegicus", "days_in_vitro=21", "cell_line=E18 cortex", "operator=Ada"]
    settings = [*(f"subject.{each}" for each in told), "duration=1", f"recording.folder={tmp_path}"]
    file = run_session(parse_config("", "test.yaml", settings), accelerated=True).file
    with NWBHDF5IO(file, "r") as io:
        nwb = io.read()
        assert (nwb.subject.subject_id, nwb.subject.species) == ("d-3", "Rattus norvegicus")
        assert (nwb.subject.age, nwb.experimenter) == ("P21D", ("Ada",))
        assert "E18 cortex" in nwb.subject.description
    assert [m.message for m in inspect_nwbfile(nwbfile_path=file) if "ubject" in m.message] == []


def assert_pulses(stimulation, opened):
    """Every pulse stands there with its time, electrodes, parameters and fate."""
    pulses = opened.pulses
    assert len(stimulation) == len(pulses) > 50
    np.testing.assert_array_equal(stimulation["timestamp"].data, pulses["time_s"])
    parameters = ("first_amplitude", "first_us", "interphase_us", "second_amplitude", "second_us", "charge_nc")
    for name in ("kind", "fate", "priority", "serial", *parameters):
        np.testing.assert_array_equal(stimulation[name].data, pulses[name])
    patterns = list(opened.patterns.values())
    for row in (0, len(pulses) // 2, len(pulses) - 1):
        channels = tuple(stimulation["electrodes"][row]["channel_index"])
        assert channels == patterns[pulses[row]["pattern"]].channels


def test_spikeinterface_sorting_has_every_spike(opened, file):
    from spikeinterface.extractors.nwbextractors import NwbSortingExtractor

    sorting = NwbSortingExtractor(str(file), sampling_frequency=RATE_HZ, t_start=0.0)
    assert sorting.get_num_units() == 64
    trains = [sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids]
    assert sum(map(len, trains)) == len(opened.spikes) > 1000
    for channel in (busiest(opened), 0, 63):
        np.testing.assert_array_equal(trains[channel], peaks_of(opened, channel))


def test_spikeinterface_recording_has_every_sample(opened, played):
    from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

    recording = NwbRecordingExtractor(str(played))
    assert recording.get_sampling_frequency() == RATE_HZ
    assert recording.get_num_samples() == len(opened.samples) == 500_000
    np.testing.assert_array_equal(
        recording.get_traces(start_frame=250_000, end_frame=275_000), opened.samples.between(10, 11)
    )
    np.testing.assert_allclose(recording.get_channel_gains(), opened.info.gain_uv, rtol=1e-6)
    places_um = opened.info.probe.contact_positions
    order = opened.info.probe.device_channel_indices
    np.testing.assert_array_equal(recording.get_channel_locations()[order], places_um)


@pytest.mark.filterwarnings("ignore:Some starts and ends are equal:UserWarning")  # rallies may follow one another
def test_pynapple_shows_units_rallies_conditions_and_the_game(opened, file):
    import pynapple

    data, channel = pynapple.load_file(str(file)), busiest(opened)
    assert len(data["units"]) == 64
    np.testing.assert_allclose(data["units"][channel].times(), peaks_of(opened, channel) / RATE_HZ)
    np.testing.assert_array_equal(data["trials"]["hits"], opened.episodes["hits"])
    np.testing.assert_allclose(data["trials"]["start"], opened.episodes["time_s"])
    assert data["epochs"]["condition"].tolist() == ["stimulus"]
    np.testing.assert_array_equal(data["game_state"].values, opened.decisions["observation"])
    np.testing.assert_array_equal(data["decoder"].values, opened.decisions["action"])
    np.testing.assert_allclose(data["decoder"].times(), opened.decisions["time_s"])


def test_neo_holds_spikes_pulses_conditions_and_rallies(opened):
    segment = opened.to_neo().segments[0]
    assert [len(train) for train in segment.spiketrains] == [len(peaks_of(opened, k)) for k in range(64)]
    pulses, others = segment.events
    fates = opened.pulses["fate"].numpy()
    assert (len(pulses), len(others)) == ((fates == DELIVERED).sum(), (fates != DELIVERED).sum())
    np.testing.assert_array_equal(pulses.times.rescale("s").magnitude, opened.pulses["time_s"][fates == DELIVERED])
    assert set(pulses.array_annotations["fate"]) == {"delivered"}
    assert pulses.array_annotations["channels"][0] == opened.pulses.pandas()["electrodes"][fates == DELIVERED].iloc[0]
    conditions, rallies = segment.epochs
    assert (conditions.labels.tolist(), conditions.durations.rescale("s").magnitude.tolist()) == (["stimulus"], [20.0])
    np.testing.assert_array_equal(rallies.array_annotations["hits"], opened.episodes["hits"])


def test_elephant_computes_the_rates_that_we_count(opened):
    import quantities
    from elephant.kernels import RectangularKernel
    from elephant.statistics import instantaneous_rate, mean_firing_rate

    channel = busiest(opened)
    train = opened.to_neo().segments[0].spiketrains[channel]
    peaks_s = peaks_of(opened, channel) / RATE_HZ
    assert mean_firing_rate(train).rescale("Hz").item() == pytest.approx(len(peaks_s) / 20)
    kernel = RectangularKernel(100 * quantities.ms)
    rate = instantaneous_rate(train, sampling_period=10 * quantities.ms, kernel=kernel)
    half_width_s = 0.1 * np.sqrt(3)
    for at_s in (5.0, 10.0, 15.0):
        near = np.abs(peaks_s - at_s) < half_width_s
        expected_hz = near.sum() / (2 * half_width_s)
        assert rate[round(at_s * 100)].item() == pytest.approx(expected_hz, abs=2 / (2 * half_width_s))
    assert rate.magnitude.sum() * 0.01 == pytest.approx(len(peaks_s), rel=0.05)


def test_plain_h5py_is_enough(opened, file):
    with h5py.File(file) as plain:
        spikes = plain["events/detected_spikes"]
        np.testing.assert_array_equal(spikes["timestamp"], opened.spikes["time_s"])
        np.testing.assert_array_equal(spikes["electrode"], opened.spikes["channel_index"])
        np.testing.assert_array_equal(plain["intervals/trials/hits"], opened.episodes["hits"])


def test_pandas_counts_the_same(opened):
    pulses = opened.pulses.pandas()
    counts = pulses.groupby(["kind", "fate"], observed=True).size()
    for (kind, fate), count in counts.items():
        assert opened.summary["pulses"][kind][fate] == count
    assert opened.decisions.pandas()["event_hit"].sum() == opened.summary["events"]["hit"]
    assert len(opened.frames) > 100


def test_the_small_copy_replays(small):
    report = verify(small)
    assert report.differences == []
    assert not report.detection_rerun
    assert report.spikes > 1000


# Units


UNITS = (
    "a.u.",
    "mV",
    "nC",
    "n.a.",
    "ns",
    "pixels",
    "ppm",
    "s",
    "sample",
    "samples",
    "seconds",
    "uA",
    "uV",
    "um",
    "us",
    "volts",
)
WITHOUT = {
    "id", "index", "serial", "voice", "pattern", "first", "count", "seed",  # numbers of things
    "n_spikes", "n_pulses", "hits", "jumps", "spikes_crc", "events",  # counts and bits
    "electrode", "electrodes", "channel_index", "electrodes_index", "spike_times_index", "obs_intervals_index",  # rows
    "kind", "fate", "priority", "excluded", "answer", "action", "update", "timing", "value",  # codes
    "limit",  # of an alarm, whose row has the unit
    "playing", "terminated", "truncated",  # flags
    "channel_conversion", "dimension",  # NWB fixes what these are: factors beside ``conversion``, pixels
}  # fmt: skip


def stated(dataset):
    """Return what a dataset says of its unit, in words."""
    told = [dataset.attrs.get(name, "") for name in ("unit", "units", "description")]
    words = {word.strip(",;:()") for text in told for word in str(text).lower().split()}
    return words | {word.removesuffix(".") for word in words}


def without_unit(path):
    """Numbers in the file that are quantities and do not say in which unit."""
    found = []

    def visit(name, node):
        numeric = isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf"
        if numeric and name.rpartition("/")[2] not in WITHOUT and not stated(node) & {unit.lower() for unit in UNITS}:
            found.append(name)

    with h5py.File(path) as plain:
        plain.visititems(visit)
    return found


def test_every_quantity_in_the_file_states_its_unit(played):
    assert without_unit(played) == []


def test_a_quantity_without_a_unit_would_be_found(small, tmp_path):
    path = shutil.copy(small, tmp_path / "altered.nwb")
    with h5py.File(path, "a") as plain:
        plain["units/spike_times"].attrs["description"] = "Spikes."
        plain["processing/behavior/decisions/lateness_us"].attrs["description"] = "How late the decision was."
    assert without_unit(path) == ["processing/behavior/decisions/lateness_us", "units/spike_times"]


WHILE_OTHERS_READ = """
import sys
from pathlib import Path
import pynwb, wetloop
from wetloop.recording.spikes_only import write_spikes_only
held = pynwb.NWBHDF5IO(sys.argv[1], "r")
nwb = held.read()
with wetloop.open(sys.argv[1]) as opened:
    opened.to_neo()
    write_spikes_only(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_copy_is_made_while_the_same_process_reads_the_file(played, tmp_path):
    out = tmp_path / "copy.nwb"
    command = [sys.executable, "-c", WHILE_OTHERS_READ, str(played), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert verify(out).differences == []
