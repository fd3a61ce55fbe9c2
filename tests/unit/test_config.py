import json
import math
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wetloop.config import SessionConfig, from_json, load_config, parse_config, to_json, to_yaml
from wetloop.config.models import CHOICES, seconds
from wetloop.core.errors import ConfigError

PLUGINS = """
from pydantic import Field
from wetloop.core import plugin

class Source(plugin.SourceConfig):
    kind: str = "culture"
    cells: int = Field(1000, gt=0)
    path: str | None = None

class Own(plugin.OwnStimulatorConfig):
    pass

class Task(plugin.TaskConfig):
    kind: str = "pong"
    paddle: float = Field(0.3, gt=0, lt=1)

class Encoder(plugin.EncoderConfig):
    kind: str = "place-rate"
    max_rate_hz: float | None = 40.0

class NoEncoder(plugin.EncoderConfig):
    pass

class Decoder(plugin.DecoderConfig):
    kind: str = "region-ratio"

class Feedback(plugin.FeedbackConfig):
    kind: str = "dishbrain"
    level: float = 1.0
"""
ENTRY_POINTS = {
    "wetloop.sources": {"culture": "Source", "misfiled": "Task"},
    "wetloop.stimulators": {"source": "Own"},
    "wetloop.tasks": {"pong": "Task"},
    "wetloop.encoders": {"place-rate": "Encoder", "none": "NoEncoder"},
    "wetloop.decoders": {"region-ratio": "Decoder"},
    "wetloop.feedback": {"dishbrain": "Feedback"},
}


@pytest.fixture(scope="module", autouse=True)
def small_plugins(tmp_path_factory):
    """Small plug-ins in place of the built-in ones: metadata of ``wetloop`` that come first on the path."""
    folder = tmp_path_factory.mktemp("plugins")
    metadata = folder / "wetloop-0.0.dist-info"
    metadata.mkdir()
    (folder / "small_plugins.py").write_text(PLUGINS)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: wetloop\nVersion: 0.0\n")
    lines = []
    for group, kinds in ENTRY_POINTS.items():
        lines += [f"[{group}]", *(f"{kind} = small_plugins:{name}" for kind, name in kinds.items())]
    (metadata / "entry_points.txt").write_text("\n".join([*lines, ""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    del sys.modules["small_plugins"]


def refused(text, *overrides):
    with pytest.raises(ConfigError) as refusal:
        parse_config(text, "x.yaml", overrides)
    return str(refusal.value).splitlines()


def test_an_empty_file_is_the_default_session():
    config = parse_config("# nothing\n", "x.yaml")
    assert isinstance(config, SessionConfig)
    assert {name: getattr(config, name).kind for name in CHOICES} == {
        "source": "culture",
        "stimulator": "source",
        "task": "pong",
        "encoder": "place-rate",
        "decoder": "region-ratio",
        "feedback": "dishbrain",
    }
    assert (config.seed, config.duration, config.decision_ms, config.plan_ahead_ms) == (1, 300, 10, 10)


def test_sections_take_the_model_of_their_kind():
    config = parse_config("task: {paddle: 0.4}\nencoder:\n  kind: none\nsource:\n", "x.yaml")
    assert config.task.paddle == 0.4
    assert type(config.encoder).__name__ == "NoEncoder"
    assert config.source.cells == 1000


def test_a_kind_alone_may_stand_for_its_section():
    assert parse_config("encoder: none", "x.yaml").encoder.kind == "none"
    config = parse_config("encoder: {max_rate_hz: 20}", "x.yaml", ["encoder=none"])
    assert config.encoder.kind == "none"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("90.5", 90.5),
        ("90s", 90),
        ("20min", 1200),
        ("1h", 3600),
        ("500ms", 0.5),
        ("'1.5 h'", 5400),
    ],
)
def test_durations_are_read_with_their_unit(text, expected):
    assert parse_config(f"duration: {text}", "x.yaml").duration == pytest.approx(expected)


@pytest.mark.parametrize("text", ["0", "-3s", "20 minutes", "yes", ".inf", ".nan", "1e9", "ms", "''", "1_0s"])
def test_impossible_durations_are_refused(text):
    (line,) = refused(f"duration: {text}")
    assert line.startswith("x.yaml:1:11: duration: ")


def test_other_values_than_text_pass_the_duration_reader():
    assert seconds(12) == 12
    assert seconds(None) is None


def test_all_faults_come_at_once_with_their_places():
    lines = refused(
        "sed: 1\n"
        "guard: {limits: {max_amplitude_mV: 3}}\n"
        "source:\n"
        "  cells: -4\n"
        "task:\n"
        "  kind: pung\n"
        "subject:\n"
        "  days_in_vitro: -1\n",
        "decision_ms=0",
        "recording={nam: x}",
    )
    assert lines == [
        "--set decision_ms: input should be greater than or equal to 1 (got 0)",
        "--set recording: recording.nam: unknown key; did you mean 'name'?",
        "x.yaml:1:1: sed: unknown key; did you mean 'seed'?",
        "x.yaml:2:18: guard.limits.max_amplitude_mV: unknown key; did you mean 'max_amplitude_mv'?",
        "x.yaml:4:10: source.cells: input should be greater than 0 (got -4)",
        "x.yaml:6:9: task.kind: no 'pung' among the wetloop.tasks; did you mean 'pong'?",
        "x.yaml:8:18: subject.days_in_vitro: input should be greater than or equal to 0 (got -1)",
    ]


def test_keys_without_a_near_name_are_answered_with_all_names():
    (line,) = refused("guard: {qqq: 1}")
    assert line == "x.yaml:1:9: guard.qqq: unknown key; known: limits, lease_ms, trip_refused_per_s, after_trip"


def test_repeated_keys_are_refused_at_any_depth():
    assert refused("seed: 1\nseed: 2") == ["x.yaml:2:1: seed: the key is given twice"]
    assert refused("task: {paddle: 0.1, paddle: 0.2}") == ["x.yaml:1:21: task.paddle: the key is given twice"]


def test_a_plug_in_of_another_group_is_refused():
    assert refused("source: misfiled") == ["x.yaml:1:9: source.kind: Task is no SourceConfig"]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("[1, 2]", "x.yaml:1:1", "expected a mapping"),
        ("seed: 1\n  task: 3", "x.yaml:2:7", "mapping values are not allowed"),
        ("a: &x [1]\nb: *x", "x.yaml:2:4", "aliases (*name) are not allowed"),
        ("seed: !!python/object:os.system 1", "x.yaml:1:7", "tag tag:yaml.org,2002:python/object:os.system"),
        ("seed: !!int x", "x.yaml:1:7", "'x' is no int"),
        ("? [a, b]\n: 1", "x.yaml:1:3", "a key must be plain text"),
        ("a: " + "[" * 5000, "x.yaml:1", "nested too deeply"),
        ('a: "\\U00ffffff"', "x.yaml", "is not YAML"),
        ("a: \x00", "x.yaml", "is not YAML"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1", "but found another document"),
        ("#" * (2 << 20), "x.yaml", "larger than 1 MiB"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text, place, message):
    lines = refused(text)
    assert lines[0].startswith(place)
    assert message in lines[0]


def test_dates_and_numbers_may_stand_where_text_is_expected():
    subject = parse_config("subject: {culture_id: 12, notes: 2024-01-02}", "x.yaml").subject
    assert (subject.culture_id, subject.notes) == ("12", "2024-01-02")


def test_overrides_replace_values_and_make_sections():
    config = parse_config(
        "task: {paddle: 0.4}\nseed: 3",
        "x.yaml",
        ["task.paddle=0.5", "guard.limits.max_amplitude_mv=500", "seed=7", "duration=1min", "plan_ms="],
    )
    assert (config.task.paddle, config.guard.limits.max_amplitude_mv, config.seed) == (0.5, 500, 7)
    assert (config.duration, config.plan_ms) == (60, None)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed", "--set seed: expected KEY=VALUE, such as decision_ms=20"),
        ("a..b=1", "--set a..b=1: expected KEY=VALUE, such as decision_ms=20"),
        ("seed.x=1", "--set seed.x: seed is a value and has no keys"),
        ("task.foo=1", "--set task.foo: unknown key; known: kind, own_process, deadline_ms, restart_after_s, paddle"),
        (
            "seed=[",
            "--set seed: while parsing a flow node, expected the node content, but found '<stream end>'",
        ),
    ],
)
def test_faulty_overrides_are_named_as_such(override, line):
    assert refused("seed: 1", override) == [line]


def test_a_lease_shorter_than_the_plan_is_refused_where_it_was_set():
    (line,) = refused("decision_ms: 20\nguard:\n  lease_ms: 30\n")
    assert line.startswith("x.yaml:2:1: guard: lease_ms 30 ms is shorter than a decision and its plan (40 ms)")
    (line,) = refused("decision_ms: 100\n")
    assert line.startswith("x.yaml: guard: lease_ms 50 ms is shorter")
    assert parse_config("decision_ms: 20\nplan_ms: 10\nguard: {lease_ms: 30}", "x.yaml").plan_ahead_ms == 10


def test_the_rig_may_stand_in_a_file_of_its_own(tmp_path):
    (tmp_path / "lab.yaml").write_text("name: left bench\nlimits:\n  max_amplitude_mv: 400\n")
    (tmp_path / "session.yaml").write_text("rig: lab.yaml\n")
    config = load_config(tmp_path / "session.yaml", ["rig.limits.max_phase_us=200"])
    assert (config.rig.name, config.rig.limits.max_amplitude_mv) == ("left bench", 400)
    assert config.rig.limits.max_phase_us == 200


def test_faults_in_the_rig_file_name_that_file(tmp_path):
    (tmp_path / "lab.yaml").write_text("limits:\n  max_amplitude_mv: -4\n")
    (tmp_path / "session.yaml").write_text("seed: -1\nrig: lab.yaml\n")
    with pytest.raises(ConfigError) as refusal:
        load_config(tmp_path / "session.yaml")
    first, second = str(refusal.value).splitlines()
    assert first.startswith(f"{tmp_path}/lab.yaml:2:21: rig.limits.max_amplitude_mv: ")
    assert second.startswith(f"{tmp_path}/session.yaml:1:7: seed: ")


def test_input_files_are_looked_for_here_then_beside_the_configuration(tmp_path, monkeypatch):
    folder, here = tmp_path / "configs", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (folder / "session.yaml").write_text("source: {path: data.nwb}")
    (folder / "data.nwb").touch()
    assert load_config(folder / "session.yaml").source.path == str(folder / "data.nwb")
    (here / "data.nwb").touch()
    assert load_config(folder / "session.yaml").source.path == str(here / "data.nwb")


def test_missing_input_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("source: {path: gone.nwb}") == [f"x.yaml:1:16: source.path: no such file: {tmp_path}/gone.nwb"]
    assert refused("", "rig=gone.yaml") == [f"--set rig: no such file: {tmp_path}/gone.yaml"]
    (tmp_path / "there.yaml").write_text("name: left bench")
    config = parse_config("rig: gone.yaml\nsource: {path: gone.nwb}", "x.yaml", ["rig=there.yaml", "source.path="])
    assert (config.rig.name, config.source.path) == ("left bench", None)
    (line,) = refused("", "source.path=" + "a" * 5000)
    assert line.startswith("--set source.path: ")


@pytest.mark.parametrize(("name", "content"), [("gone.yaml", None), ("latin.yaml", b"notes: caf\xe9"), (".", None)])
def test_unreadable_files_are_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot be read|is not UTF-8 text"):
        load_config(tmp_path / name)


def test_stored_configurations_come_back_equal():
    text = "seed: 5\nguard: {limits: {max_rate_hz: 20, forbidden_channels: [3]}}\nencoder: none\nduration: 2h"
    config = parse_config(text, "x.yaml")
    for again in (
        from_json(to_json(config)),
        from_json(config.model_dump_json()),
        parse_config(to_yaml(config), "again.yaml"),
    ):
        assert again.model_dump() == config.model_dump()
    assert config.rig.limits.max_amplitude_mv == math.inf
    assert "Infinity" not in to_json(config)


def test_faults_in_stored_configurations_are_config_errors():
    for text in ("{", "[]", '{"seed": -1}', '{"task": {"kind": "x"}}', "[" * 100_000):
        with pytest.raises(ConfigError, match=r"^stored configuration"):
            from_json(text)


KEYS = st.sampled_from([*SessionConfig.model_fields, "kind", "path", "limits", "lease_ms", "cells", "sead", "<<", "0"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["none", "culture", "1h"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="abckind:{}[]-*&!<?'\"|>%@\n \t#,.0123456789_\\", max_size=60),
    st.dictionaries(KEYS, VALUES, max_size=6).map(json.dumps),
)


def attempted(text, overrides):
    """Give the configuration, or the refusal's text; any other exception is the test's failure."""
    try:
        return parse_config(text, "x.yaml", overrides)
    except ConfigError as refusal:
        return str(refusal)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, override=st.none() | st.builds("{}={}".format, KEYS, TEXTS) | st.text(max_size=10))
@example(text='subject: {notes: "\\ud800"}', override=None)
@example(text="seed: !!bool x", override=None)
@example(text="source: {path: ~nobody/x}", override=None)
@example(text='rig: "a\\0b"', override=None)
@example(text="seed: " + "9" * 5000, override=None)
def test_any_text_gives_a_configuration_or_a_config_error(text, override):
    result = attempted(text, [] if override is None else [override])
    assert isinstance(result, SessionConfig) or result.startswith(("x.yaml", "--set", "/"))
