"""A reflex answers within a frame, under the guard, alike in packets of any size; a bad one is refused before a run."""

import numpy as np
import pytest
from numba import njit

from wetloop.cli.main import main
from wetloop.coding.reflexes import burst_brake, echo
from wetloop.config import parse_config
from wetloop.core.clock import Unpaced
from wetloop.core.errors import ConfigError, GuardError
from wetloop.core.limits import StimLimits
from wetloop.core.types import Kind, PatternSet, Priority, Tick, Timing, Update, VoiceSetting
from wetloop.engine.feed import RecordedBlocks
from wetloop.engine.reflex import ReflexCode, Wiring, code_in_file, code_of, compile_reflex
from wetloop.engine.rig import Plan, Rig
from wetloop.kernels import reflex as kernel
from wetloop.kernels.records import BLOCK, DELIVERED, INTERVAL, NOT_RUNNING, PREEMPTED, SPIKE
from wetloop.kernels.state import REFLEX_VOICE

FAR = 10**12
EIGHT = PatternSet(0, 8)


def follow(now_sample, counts, memory):
    """Answer a spike on channel 2 with the first pattern, one on channel 3 with the second."""
    memory[0] += counts.sum()
    memory[1] = now_sample
    if counts[2] > 0:
        return 0
    return 1 if counts[3] > 0 else -1


def fragile(_now_sample, counts, _memory):
    if counts[1] == 3:
        raise ValueError
    return 8 if counts[1] == 2 else counts[1] - 1 if counts[1] < 2 else -1


def spikes(*at):
    """Return spikes from (sample, channel) pairs."""
    rows = np.zeros(len(at), SPIKE)
    rows["sample_index"] = rows["known_sample"] = [sample for sample, _ in at]
    rows["channel_index"] = [channel for _, channel in at]
    return rows


@pytest.fixture
def attached(bench):
    """Make a bench whose engine has a reflex and a lease that does not end."""

    def make(function, *at, patterns=EIGHT, parameters=(), **options):
        b = bench(**options)
        b.engine.attach(compile_reflex(ReflexCode("test", "", function), Wiring(8, 25, patterns, parameters)))
        b.engine.submit((), FAR)
        b.given = spikes(*at)
        return b

    return make


def test_a_spike_on_one_electrode_gives_a_pulse_on_another_at_the_frontier_of_its_frame(attached):
    b = attached(follow, (110, 2), (620, 3), (700, 4), patterns=PatternSet(5, 2))
    pulses = b.run(2000)
    assert pulses["sample_index"].tolist() == [125 - 25 + 75, 625 - 25 + 75]
    assert pulses["pattern"].tolist() == [5, 6]
    assert set(pulses["fate"]) == {DELIVERED}
    assert (pulses["sample_index"] - [110, 620] <= b.info.lead_samples).all()
    for field, value in {"voice": REFLEX_VOICE, "kind": Kind.REFLEX, "priority": Priority.REFLEX, "serial": -1}.items():
        assert set(pulses[field]) == {value}


def test_the_kernels_speak_of_kinds_and_priorities_as_the_core_does():
    assert (kernel.KIND, kernel.PRIORITY) == (Kind.REFLEX, Priority.REFLEX)
    assert max(Priority) == Priority.REFLEX


@pytest.mark.parametrize("packet", [1, 37, 250])
def test_packets_of_any_size_give_the_same_pulses(attached, packet):
    rng = np.random.default_rng(5)
    at = [(int(sample), int(rng.integers(8))) for sample in np.sort(rng.integers(0, 20000, 400))]
    runs = []
    for size in (25, packet):
        b = attached(follow, *at, packet=size, lead=300, limits=StimLimits(min_interval_ms=3))
        pulses = b.run(25000)
        runs.append(pulses[pulses["sample_index"] < 25000].tobytes())
        assert {DELIVERED, INTERVAL} == set(pulses["fate"])
    assert runs[0] == runs[1]


def test_the_guard_rules_over_a_reflex(attached):
    b = attached(follow, *((25 * k, 2) for k in range(4, 20)), limits=StimLimits(min_interval_ms=4))
    pulses = b.run(1000)
    fates = pulses["fate"].tolist()
    assert fates[0] == DELIVERED
    assert set(fates) == {DELIVERED, INTERVAL}
    assert np.diff(pulses["sample_index"][pulses["fate"] == DELIVERED]).min() >= 100


def test_a_reflex_stays_silent_until_the_session_runs(attached):
    b = attached(follow, (110, 2), state=None)
    assert b.run(500)["fate"].tolist() == [NOT_RUNNING]


def test_a_reflex_goes_before_feedback(attached):
    b = attached(follow, (110, 2))
    b.set(voice=9, first=4, kind=Kind.RANDOM, priority=Priority.FEEDBACK, start=150, stop=226, period=25.0)
    pulses = b.run(500)
    by_kind = {(p["sample_index"], p["kind"]): p["fate"] for p in pulses}
    assert by_kind == {
        (150, Kind.RANDOM): DELIVERED,
        (175, Kind.REFLEX): DELIVERED,
        (175, Kind.RANDOM): PREEMPTED,
        (200, Kind.RANDOM): DELIVERED,
        (225, Kind.RANDOM): DELIVERED,
    }


def test_spikes_that_a_pulse_blanks_are_not_counted(attached):
    b = attached(follow, (110, 2), (176, 3), (230, 4))
    b.run(500)
    assert b.engine.state.reflex.memory[0] == 2


def test_counts_begin_anew_in_every_frame_and_memory_stays(attached):
    b = attached(follow, (110, 4), (111, 5), (400, 4), parameters=(1.5, 2.5))
    b.run(500)
    memory = b.engine.state.reflex.memory
    assert memory.tolist() == [3, 500, 0, 0, 0, 0, 0, 25, 1.5, 2.5, 0, 0, 0, 0, 0, 0]
    assert not b.engine.state.reflex.counts.any()


def leaves(state):
    for part in state:
        yield from leaves(part) if isinstance(part, tuple) else (part,)


def test_a_checkpoint_holds_what_a_reflex_remembers(attached):
    at = [(25 * k + 3, k % 3) for k in range(400)]
    whole, half, rest = (attached(burst_brake, *at, parameters=(0, 7)) for _ in range(3))
    expected = whole.run(10000)
    first = half.run(5000)
    for array, value in zip(leaves(rest.engine.state), leaves(half.engine.state), strict=True):
        array[...] = value
    rest.engine.rings.commands.words[:] = half.engine.rings.commands.words
    rest.at = 5000
    second = rest.run(10000)
    assert len(first) > 5 < len(second)
    assert np.concatenate([first, second]).tobytes() == expected.tobytes()


def test_a_reflex_that_fails_in_the_run_asks_for_nothing_and_is_counted(attached):
    at = [(100, 1), (101, 1), (102, 1), (200, 1), (201, 1), (300, 1)]
    b = attached(fragile, *at)
    pulses = b.run(500)
    assert pulses["sample_index"].tolist() == [325 - 25 + 75]
    assert b.engine.dropped["reflex failures"] == 2


def test_without_a_reflex_nothing_is_counted(bench):
    b = bench()
    b.given = spikes((110, 2))
    assert len(b.run(500)) == 0
    assert not b.engine.state.reflex.counts.any()
    assert not b.engine.state.reflex.memory.any()


def test_plain_and_compiled_functions_are_the_same_reflex(attached):
    runs = [attached(f, (110, 2), (300, 3)).run(500).tobytes() for f in (follow, njit(follow))]
    assert runs[0] == runs[1] != b""


def test_echo_answers_its_channel_and_no_other(attached):
    b = attached(echo, (110, 6), (300, 5), parameters=(6,))
    assert b.run(500)["sample_index"].tolist() == [175]


def test_burst_brake_answers_bursts_and_pauses(attached):
    burst = [(25 * frame + k, k) for frame in (4, 5, 6, 30, 40) for k in range(5)]
    b = attached(burst_brake, (25, 1), (26, 2), *burst, parameters=(4, 25))
    assert b.run(2000)["sample_index"].tolist() == [25 * frame + 75 for frame in (4, 30)]


def test_sessions_cannot_set_the_voice_of_the_reflex(bench):
    b = bench()
    blocks = RecordedBlocks(b.engine, np.zeros(0, BLOCK), np.zeros(0, SPIKE), None)
    rig = Rig(b.engine, blocks, b.table, Plan(250, 250, 1250), Unpaced())
    setting = VoiceSetting(
        REFLEX_VOICE, PatternSet(0, 1), Kind.REFLEX, Priority.REFLEX, Update.REPLACE, Timing.REGULAR, 0, 100, 25.0
    )
    with pytest.raises(GuardError, match="A voice is 0 to 62"):
        rig.submit((setting,), Tick(0, 0, 250, 500))


BAD = {
    "other = 1": r"cannot be loaded: AttributeError: .*no attribute 'act'",
    "def act(": r"cannot be loaded: SyntaxError: '\(' was never closed",
    "import no_such_module": "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'",
    "act = 3": "is a int, not a function",
    "def act(counts): return 0": r"takes \(counts\), but a reflex takes \(now_sample, counts, memory\)",
    "def act(n, c, m):\n    return open('x')": r"does not compile: .*'open'.* \(line 2\)",
    "def act(n, c, m):\n    return c + 'x'": r"does not compile: No implementation of function .*add.* \(line 2\)",
    "def act(n, c, m):\n    m[0] = 1": "returns none, but must return an integer",
    "def act(n, c, m):\n    return 0.5": "returns float64, but must return an integer",
    "def act(n, c, m):\n    if n > 1:\n        return 0": "must return an integer on every path",
    "def act(n, c, m):\n    return c[8]": "raises IndexError: .* at 0 spikes on each of 8 channels",
    "def act(n, c, m):\n    if c[0] > 3:\n        raise ValueError('hot')\n    return 0": "hot, at 10 spikes on",
    "def act(n, c, m):\n    return 8": "asks for pattern 8 at 0 spikes .*; its patterns are 0 to 7",
}


@pytest.mark.parametrize("text", BAD)
def test_a_reflex_that_cannot_work_is_refused_with_file_function_and_reason(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    code = code_in_file(tmp_path / "mine.py", "act")
    with pytest.raises(ConfigError, match=BAD[text]) as refusal:
        compile_reflex(code, Wiring(8, 25, EIGHT))
    said = str(refusal.value)
    assert said.startswith(f"reflex {tmp_path / 'mine.py'}:act: ")
    assert "\n" not in said
    assert len(said) < 400


def test_a_file_is_read_once_and_what_was_read_is_what_runs(tmp_path, attached):
    path = tmp_path / "mine.py"
    path.write_text("def act(n, c, m):\n    return 0 if c[2] > 0 else -1\n")
    code = code_in_file(path, "act")
    path.write_text("def act(n, c, m):\n    return 7\n")
    assert attached(code.load(), (110, 2)).run(500)["pattern"].tolist() == [0]
    assert "c[2]" in code.text


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"gone.py:act: the file cannot be read: .*No such file"):
        code_in_file(tmp_path / "gone.py", "act")


def test_the_source_of_a_registered_reflex_is_the_function():
    assert code_of("echo", echo).text.startswith("def echo(")
    assert code_of("follow", njit(follow)).text == code_of("follow", follow).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reflex: {patterns: {a: {channels: [1]}}}", "has patterns or parameters but no function"),
        ("reflex: {function: echo}", "has a function but no patterns"),
        ("reflex:\n  function: gone.py:act", "x.yaml:2:13: reflex.function: no such file: "),
        ("reflex: {patterns: {a: {chanels: [1]}}}", "did you mean 'channels'"),
        ("reflex: {patterns: {a: {channels: []}}}", "reflex.patterns.a.channels"),
        ("reflex: {parameters: [1, 2, 3, 4, 5, 6, 7, 8, 9]}", "at most 8 items"),
    ],
)
def test_a_faulty_section_is_refused(text, said):
    with pytest.raises(ConfigError) as refusal:
        parse_config(text, "x.yaml")
    assert said in str(refusal.value)


def test_a_file_is_found_beside_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "mine.py").touch()
    (tmp_path / "x.yaml").write_text("reflex: {function: 'mine.py:act', patterns: {a: {channels: [1]}}}")
    monkeypatch.chdir("/")
    config = parse_config((tmp_path / "x.yaml").read_text(), str(tmp_path / "x.yaml"))
    assert config.reflex.function == f"{tmp_path / 'mine.py'}:act"


def test_a_dry_run_rehearses_the_reflex(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def act(n, c, m):\n    return 1 // 0 if c[0] else c[64]\n")
    (tmp_path / "x.yaml").write_text("reflex: {function: 'mine.py:act', patterns: {a: {channels: [1]}}}")
    assert main(["run", str(tmp_path / "x.yaml"), "--dry-run"]) == 2
    assert "raises IndexError: index is out of bounds" in capsys.readouterr().err
    (tmp_path / "mine.py").write_text("def act(n, c, m):\n    return -1\n")
    assert main(["run", str(tmp_path / "x.yaml"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "reflex a" in said
    assert "at most one pulse per ms" in said
