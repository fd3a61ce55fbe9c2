"""Tables leave a recording complete, exact and with their units; a small copy replays."""

import csv
import json
import math
import shutil
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import recorded_session as session

import wetloop
from wetloop.cli.main import main
from wetloop.core.errors import ConfigError, RecordingError
from wetloop.kernels.records import FATES
from wetloop.recording import schema
from wetloop.recording.export import TABLES, Wanted, export_tables
from wetloop.recording.reader import Recording
from wetloop.recording.spikes_only import write_spikes_only


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A session with raw samples."""
    path = tmp_path_factory.mktemp("recorded") / "session.nwb"
    rows = session.make_rows()
    writer = session.Writer(path, session.make_header(), raw_samples=True)
    writer.append(samples=np.random.default_rng(0).integers(-3000, 3000, (50_000, 64)).astype(np.int16), **rows)
    writer.finish({"score": 3})
    return SimpleNamespace(path=path, rows=rows)


@pytest.fixture(scope="module")
def opened(recorded):
    with wetloop.open(recorded.path) as opened:
        yield opened


def read_csv(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def test_csv_gives_back_every_number_exactly(opened, tmp_path):
    done = export_tables(opened, tmp_path / "deep" / "tables", Wanted())
    for name in TABLES:
        view, cells = getattr(opened, name), read_csv(tmp_path / f"deep/tables/{name}.csv")
        assert done.rows[name] == len(view) == len(cells["time_s"])
        for column, values in cells.items():
            if column in view.columns and not view.columns[column].codes and column != "ended_by":
                dtype = view.columns[column].dtype
                np.testing.assert_array_equal(np.array(values, dtype), view[column].numpy())
    assert read_csv(tmp_path / "deep/tables/pulses.csv")["fate"] == [FATES[k] for k in opened.pulses["fate"].numpy()]
    assert read_csv(tmp_path / "deep/tables/episodes.csv")["ended_by"] == opened.episodes["ended_by"].numpy().tolist()


def test_parquet_is_the_data_frame_with_units(opened, tmp_path):
    import pandas as pd
    import pyarrow.parquet

    export_tables(opened, tmp_path, Wanted(format="parquet"))
    for name in TABLES:
        made = pd.read_parquet(tmp_path / f"{name}.parquet")
        expected = getattr(opened, name).pandas()
        assert made.columns.tolist() == expected.columns.tolist()
        for column in made:
            assert made[column].tolist() == expected[column].tolist()
    fields = pyarrow.parquet.read_schema(tmp_path / "pulses.parquet")
    assert fields.field("charge_nc").metadata[b"unit"] == b"nC"
    assert fields.field("first_amplitude").metadata[b"unit"] == b"uA"


def test_a_page_tells_every_column_of_the_files(opened, tmp_path):
    export_tables(opened, tmp_path, Wanted(("pulses", "decisions")))
    page = json.loads((tmp_path / "columns.json").read_text())
    assert page["sampling_frequency_hz"] == 25_000
    assert list(page["tables"]) == ["pulses", "decisions"]
    for name, table in page["tables"].items():
        assert [column["name"] for column in table["columns"]] == list(read_csv(tmp_path / f"{name}.csv"))
        assert table["rows"] == 200
    told = {column["name"]: column for column in page["tables"]["pulses"]["columns"]}
    assert told["second_amplitude"] == {
        "name": "second_amplitude",
        "unit": "uA",
        "dtype": "float32",
        "description": "Signed amplitude of the second phase, uA.",
    }
    assert told["fate"]["dtype"] == told["electrodes"]["dtype"] == "text"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_window_may_be_empty(opened, tmp_path, kind):
    inside = export_tables(opened, tmp_path / "a", Wanted(("spikes", "decisions"), kind, 0.5, 1.0))
    assert inside.rows == {"spikes": len(opened.spikes.between(0.5, 1.0)), "decisions": 50}
    beyond = export_tables(opened, tmp_path / "b", Wanted(TABLES, kind, 100.0))
    assert set(beyond.rows.values()) == {0}
    assert (tmp_path / f"b/spikes.{kind}").stat().st_size > 50


def test_nothing_is_replaced_unasked(opened, tmp_path):
    (tmp_path / "pulses.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"pulses\.csv exists .*--force"):
        export_tables(opened, tmp_path, Wanted())
    assert [path.name for path in tmp_path.iterdir()] == ["pulses.csv"]
    export_tables(opened, tmp_path, Wanted(("pulses",)), replace=True)
    assert (tmp_path / "pulses.csv").read_text().startswith("time_s,")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(("spikes", "rallies")), "no table rallies: take some of spikes, pulses"),
        (Wanted(()), "no table asked for"),
        (Wanted(start_s=2.0, stop_s=2.0), "nothing lies between 2 and 2 s"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_is_made(opened, tmp_path, wanted, message):
    with pytest.raises(ConfigError, match=message):
        export_tables(opened, tmp_path / "tables", wanted)
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize(("module", "use"), [("pyarrow", "parquet"), ("pandas", "pandas"), ("neo", "neo")])
def test_a_missing_package_is_named_with_its_extra(opened, tmp_path, monkeypatch, module, use):
    monkeypatch.setitem(sys.modules, module, None)
    tried = {
        "parquet": lambda: export_tables(opened, tmp_path, Wanted(format="parquet")),
        "pandas": opened.spikes.pandas,
        "neo": opened.to_neo,
    }
    extra = "analysis" if module == "neo" else "tables"
    with pytest.raises(ConfigError, match=rf"{module} is needed .*wetloop\[{extra}\]"):
        tried[use]()


def test_a_damaged_column_leaves_no_half_written_file(recorded, tmp_path):
    copied = Path(shutil.copy(recorded.path, tmp_path / "damaged.nwb"))
    with h5py.File(copied) as file:
        chunk = file[f"{schema.SPIKES.path}/amplitude_uv"].id.get_chunk_info(0)
    data = bytearray(copied.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    copied.write_bytes(data)
    with wetloop.open(copied) as opened, pytest.raises(RecordingError, match="amplitude_uv is damaged"):
        export_tables(opened, tmp_path / "tables", Wanted(("pulses", "spikes")))
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["pulses.csv"]


def test_memory_does_not_grow_with_the_rows(recorded, tmp_path):
    copied = Path(shutil.copy(recorded.path, tmp_path / "long.nwb"))
    with h5py.File(copied, "a") as file:
        for dataset in file[schema.SPIKES.path].values():
            if isinstance(dataset, h5py.Dataset):
                dataset.resize(200_000, axis=0)
    shares = []
    with wetloop.open(copied) as opened:
        tracemalloc.start()
        export_tables(opened, tmp_path / "tables", Wanted(("spikes",)), on_progress=shares.append)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / "tables/spikes.csv").stat().st_size > 3_500_000
    assert peak_bytes < 12_000_000
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (7, 1.0)


# A copy without raw samples


@pytest.fixture(scope="module")
def small(recorded, tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "small.nwb"
    write_spikes_only(recorded.path, out)
    return out


def test_a_small_copy_has_all_but_the_samples(recorded, small):
    assert small.stat().st_size < 1_000_000 < recorded.path.stat().st_size
    with Recording(small) as copy, Recording(recorded.path) as source:
        assert copy.complete
        assert (copy.samples is None, source.samples is None) == (True, False)
        for rows in ("spikes", "pulses", "decisions", "blocks", "operator_commands", "episodes"):
            np.testing.assert_array_equal(getattr(copy, rows)(), getattr(source, rows)())
        assert (copy.header, copy.config, copy.summary) == (source.header, source.config, source.summary)
        np.testing.assert_array_equal(np.concatenate(copy.unit_spikes()), np.concatenate(source.unit_spikes()))


def test_a_small_copy_is_valid_nwb_whose_parts_point_to_each_other(recorded, small):
    from pynwb import NWBHDF5IO, validate

    with NWBHDF5IO(small, "r") as io, NWBHDF5IO(recorded.path, "r") as whole:
        assert validate(io=io) == []
        nwb, source = io.read(), whole.read()
        assert "ElectricalSeries" not in nwb.acquisition
        stimulation = nwb.events["stimulation"]
        assert stimulation["electrodes"].target.table is nwb.electrodes
        assert stimulation["pattern"].table.name == "patterns"
        assert stimulation.meanings_tables["fate_meanings"]["meaning"][0] == "delivered"
        assert nwb.electrodes["group"][3].device.name == "culture"
        assert (nwb.session_id, nwb.identifier != source.identifier) == (source.session_id, True)


def test_a_small_copy_of_a_running_session_is_as_far_as_it_was(tmp_path):
    writer = session.Writer(tmp_path / "running.nwb", session.make_header(), raw_samples=True)
    writer.append(**session.make_rows())
    writer.flush()
    write_spikes_only(tmp_path / "running.nwb", tmp_path / "small.nwb")
    writer.abort()
    with Recording(tmp_path / "small.nwb") as copy:
        assert not copy.complete
        assert len(copy.spikes()) == 2000


def test_only_a_recording_is_copied(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = 1
    with pytest.raises(RecordingError, match="not a Wetloop recording"):
        write_spikes_only(tmp_path / "other.h5", tmp_path / "small.nwb")
    assert not (tmp_path / "small.nwb").exists()


# The command


def test_the_command_writes_tables_and_a_copy(recorded, tmp_path, capsys):
    arguments = ["export", str(recorded.path), "--to", str(tmp_path / "out"), "--tables", "spikes, episodes"]
    arguments += ["--from", "0.5", "--to-s", "1.5", "--spikes-only", str(tmp_path / "small.nwb")]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(Path(file).name for file in told["files"]) == ["columns.json", "episodes.csv", "spikes.csv"]
    assert told["rows"]["spikes"] == len(read_csv(tmp_path / "out/spikes.csv")["time_s"]) > 900
    assert told["copy_bytes"] == (tmp_path / "small.nwb").stat().st_size
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert "rows: spikes" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--spikes-only", "x.nwb", "--from", "1"], ["--to", "x", "--format", "xls"]])
def test_the_command_refuses_what_makes_no_sense(recorded, arguments, capsys):
    assert main(["export", str(recorded.path), *arguments]) == 2
    assert capsys.readouterr().err


def test_a_whole_window_is_the_default():
    assert Wanted() == Wanted(TABLES, "csv", -math.inf, math.inf)
