"""The tools of the field open a recording as it is."""

from types import SimpleNamespace

import numpy as np
import pytest
import recorded_session as session

RATE_HZ = 25_000.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "session.nwb"
    return SimpleNamespace(path=path, rows=session.write(path, n_batches=2))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "raw.nwb"
    samples = np.random.default_rng(0).integers(-3000, 3000, (5000, 64)).astype(np.int16)
    writer = session.Writer(path, session.make_header(), raw_samples=True)
    writer.append(samples=samples, **session.make_rows(n_decisions=20))
    writer.finish({})
    return SimpleNamespace(path=path, samples=samples)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("empty") / "empty.nwb"
    session.Writer(path, session.make_header()).finish({})
    return path


@pytest.mark.parametrize("kind", ["recorded", "raw", "empty"])
def test_pynwb_validates_and_reads_it(request, kind):
    from pynwb import NWBHDF5IO, validate

    made = request.getfixturevalue(kind)
    with NWBHDF5IO(getattr(made, "path", made), "r") as io:
        assert validate(io=io) == []
        nwb = io.read()
        assert len(nwb.units) == 64
        assert len(nwb.electrodes) == 64


def test_pynwb_shows_stimulation_with_its_electrodes_and_meanings(recorded):
    from pynwb import NWBHDF5IO

    pulses = recorded.rows["pulses"]
    table = session.make_header().table
    with NWBHDF5IO(recorded.path, "r") as io:
        stimulation = io.read().events["stimulation"]
        for row in (0, 17, 399):
            electrodes = stimulation["electrodes"][row]
            assert tuple(electrodes["channel_index"]) == table.patterns[pulses["pattern"][row]].channels
        meanings = stimulation.meanings_tables["fate_meanings"]
        assert list(meanings["meaning"][:2]) == ["delivered", "late"]
        assert stimulation["pattern"].table.name == "patterns"


def test_pynwb_reads_a_session_that_still_runs(tmp_path):
    from pynwb import NWBHDF5IO, validate

    writer = session.Writer(tmp_path / "a.nwb", session.make_header())
    writer.append(**session.make_rows())
    writer.flush()
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert validate(io=io) == []
        assert len(io.read().events["detected_spikes"]) == 2000
    writer.abort()


def test_nwbinspector_has_nothing_but_advice(recorded):
    from nwbinspector import Importance, inspect_nwbfile

    found = list(inspect_nwbfile(nwbfile_path=recorded.path))
    worse = [m for m in found if m.importance.value > Importance.BEST_PRACTICE_SUGGESTION.value]
    assert [(m.check_function_name, m.message) for m in worse] == []


def test_spikeinterface_finds_every_unit(recorded):
    from spikeinterface.extractors import read_nwb_sorting

    sorting = read_nwb_sorting(recorded.path, sampling_frequency=RATE_HZ, t_start=0.0)
    spikes = recorded.rows["spikes"]
    assert sorting.get_num_units() == 64
    for row in (0, 31):
        expected = np.sort(spikes["sample_index"][spikes["channel_index"] == row])
        np.testing.assert_array_equal(sorting.get_unit_spike_train(sorting.unit_ids[row]), expected)


def test_spikeinterface_reads_raw_samples_and_places(raw):
    from spikeinterface.extractors import read_nwb_recording

    recording = read_nwb_recording(raw.path)
    assert recording.get_sampling_frequency() == RATE_HZ
    np.testing.assert_array_equal(recording.get_traces(), raw.samples)
    np.testing.assert_allclose(recording.get_channel_gains()[:63], 0.195, rtol=1e-6)
    np.testing.assert_array_equal(recording.get_channel_locations()[9], [200.0, 200.0])


@pytest.mark.filterwarnings("ignore:Some starts and ends are equal:UserWarning")  # rallies follow one another
def test_pynapple_shows_units_rallies_and_the_game(recorded):
    import pynapple

    data, decisions = pynapple.load_file(str(recorded.path)), recorded.rows["decisions"]
    assert len(data["units"]) == 64
    assert len(data["trials"]) > 3
    assert data["epochs"]["condition"].tolist() == ["stimulus"]
    np.testing.assert_array_equal(data["game_state"].values, decisions["observation"])
    np.testing.assert_allclose(data["decoder"].times(), decisions["stop_sample"] / RATE_HZ)
