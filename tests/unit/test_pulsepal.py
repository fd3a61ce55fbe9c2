"""A Pulse Pal over a real serial line: found by its answer, loaded, read back, and never late."""

from functools import partial
from pathlib import Path

import pytest
from serial_bench import fired

from wetloop.core.clock import wait_until
from wetloop.core.errors import ConfigError, LatePulseError, RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop.emulation import bench
from wetloop_drivers import pulsepal_wire as wire
from wetloop_drivers.emulators.serial_port import DevicePort
from wetloop_drivers.pulsepal import PulsePalConfig

WEAK, STRONG = Pulse.balanced(75, 200, "mV"), Pulse.balanced(150, 200, "mV")
FOUR = {1: (0,), 2: (1,), 3: (2,), 4: (3,)}


@pytest.fixture
def rig(plugged):
    """Start an emulated Pulse Pal with these settings."""
    return partial(plugged, "pulsepal")


@pytest.fixture
def firmware():
    """Return a device that hears only what the test lets it hear."""
    _, (emulator,) = bench(["pulsepal"], ["culture.kind=poisson"])
    return emulator.firmware


def delivered(dish, n):
    assert wait_until(lambda: len(dish.delivered) >= n, 5.0)
    return [(pulse.pattern.channels, pulse.pattern.pulse) for pulse in dish.delivered]


def test_patterns_are_unions_of_outputs_and_arrive_as_the_table_holds_them(rig, ready):
    dish, emulator, config = rig()
    with ready(config, Pattern(WEAK, (0,)), Pattern(WEAK, (1, 2)), Pattern(STRONG, (3,))) as stimulator:
        for pattern in range(3):
            stimulator.trigger(pattern, 0)
        told = delivered(dish, 3)
    step = wire.STEP_MV
    assert [channels for channels, _ in told] == [(0,), (1, 2), (3,)]
    assert [pulse for _, pulse in told] == [WEAK.rounded(step), WEAK.rounded(step), STRONG.rounded(step)]
    assert not emulator.firmware.settings["triggers"]["links"].any()


def test_an_output_that_is_busy_is_not_asked_again(rig, ready):
    dish, _, config = rig("pulsepal.outputs={1: [0], 2: [1]}")
    slow = config.model_copy(update={"min_interval_ms": 10_000})
    with ready(slow, Pattern(Pulse.balanced(1, 4_000_000, "mV"), (0,)), Pattern(WEAK, (1,))) as stimulator:
        stimulator.trigger(0, 0)
        with pytest.raises(LatePulseError, match="still delivers"):
            stimulator.trigger(0, 0)
        stimulator.trigger(1, 0)
        assert [channels for channels, _ in delivered(dish, 2)] == [(0,), (1,)]


def test_current_stages_give_microamperes(rig, ready, beside):
    dish, _, config = rig("pulsepal.volts_per_ua=0.1")
    info = config.describe(beside)
    assert (info.unit, info.amplitude_step) == ("uA", wire.STEP_MV / 100)
    with ready(config, Pattern(Pulse.balanced(1.0, 200, "uA"), (0,))) as stimulator:
        stimulator.trigger(0, 0)
        ((_, pulse),) = delivered(dish, 1)
    assert pulse.unit == "mV"
    assert pulse.second_amplitude == pytest.approx(1.0 * beside.access_resistance_kohm, rel=2e-3)


def test_the_port_is_chosen_by_its_answer(rig, ready, port_of):
    _, _, config = rig()
    other, mute = port_of(lambda data: data[:1] * 5), port_of(lambda _: b"")
    ports = (other.name, mute.name, *config.ports)
    with ready(config.model_copy(update={"ports": ports}), Pattern(WEAK, (0,))) as stimulator:
        stimulator.ping()
    wrong = config.model_copy(update={"ports": (other.name, mute.name)})
    with (
        pytest.raises(RigError, match=f"(?s){other.name}.*not the answer.*{mute.name}.*0 of 5 bytes"),
        ready(wrong, Pattern(WEAK, (0,))),
    ):
        pass


def test_an_older_model_is_refused(rig, ready):
    _, _, config = rig("pulsepal.firmware=11")
    with pytest.raises(RigError, match="firmware 11, as Pulse Pal 1 has"), ready(config, Pattern(WEAK, (0,))):
        pass


def test_stale_bytes_are_thrown_away(firmware, ready, port_of):
    port = port_of(lambda data: firmware.hear(data, 0.0))
    port.say(b"\x01K\x15")
    with ready(PulsePalConfig(ports=(port.name,), outputs=FOUR), Pattern(WEAK, (0,))) as stimulator:
        stimulator.ping()


def test_a_device_that_holds_something_else_is_refused(firmware, ready, port_of):
    def forgets(data):
        answer = firmware.hear(data, 0.0)
        return answer[:40] + bytes((answer[40] ^ 1,)) + answer[41:] if len(answer) == 178 else answer

    port = port_of(forgets)
    with (
        pytest.raises(RigError, match="does not hold what was loaded: custom_target of output 1 is 1, not 0"),
        ready(PulsePalConfig(ports=(port.name,), outputs=FOUR), Pattern(WEAK, (0,))),
    ):
        pass


def test_a_device_that_hears_nothing_more_is_told_at_the_next_trigger(rig, ready):
    dish, emulator, config = rig()
    with ready(config, Pattern(WEAK, (0,))) as stimulator:
        stimulator.ping()
        emulator.firmware.failed = True
        with pytest.raises(RigError, match="joystick"):
            wait_until(lambda: fired(stimulator, 0) and False, 5.0)
    assert dish.delivered == []


def test_a_message_that_breaks_off_leaves_the_device_deaf_until_it_is_clicked(firmware):
    hear, hello = firmware.hear, wire.message(wire.HANDSHAKE)
    assert hear(hello, 0.0) == wire.encode_hello(21)
    assert hear(hello[:1], 1.0) == b""
    assert hear(hello[1:], 1.4) == wire.encode_hello(21)
    assert hear(wire.message(wire.PROGRAM, b"half"), 2.0) == b""
    assert hear(hello, 2.6) == b""
    assert firmware.failed
    firmware.click()
    assert hear(hello, 3.0) == wire.encode_hello(21)


def test_a_cut_cable_is_told_with_its_port(rig, ready):
    _, emulator, config = rig()
    with ready(config, Pattern(WEAK, (0,))) as stimulator:
        emulator.unplug()
        with pytest.raises(RigError, match=f"{config.ports[0]} is gone"):
            stimulator.trigger(0, 0)


def test_one_program_has_the_port(rig, ready):
    _, _, config = rig()
    with (
        ready(config, Pattern(WEAK, (0,))),
        pytest.raises(RigError, match="in use by another program"),
        ready(config, Pattern(WEAK, (0,))),
    ):
        pass


@pytest.mark.parametrize(
    ("patterns", "told"),
    [
        ([Pattern(Pulse.balanced(75, 210, "mV"), (0,))], "first_us 210 us is no multiple of 50 us"),
        ([Pattern(WEAK, (7,))], r"electrodes \[7\]: no outputs together feed exactly these: output 1 feeds \[0\]"),
        ([Pattern(WEAK, (0,)), Pattern(STRONG, (0, 1))], "output 1 holds -75.0732 / 75.0732 mV, 200 / 200 us"),
        (
            [Pattern(Pulse.balanced(40 * k, 200, "mV"), (0,)) for k in range(1, 6)],
            "5 different pulses, but 4 outputs are wired",
        ),
        ([Pattern(Pulse.balanced(20, 2000, "mV"), (0,))], "4000 us long, but with this min_interval_ms at most 2950"),
    ],
)
def test_what_does_not_fit_is_told_with_numbers(patterns, told, table_of):
    config = PulsePalConfig(outputs=FOUR)
    with pytest.raises(AssertionError, match=told):
        raise AssertionError("\n".join(config.misfits(table_of(config, *patterns))))


def test_two_outputs_may_feed_the_same_electrodes_with_different_pulses(table_of):
    config = PulsePalConfig(outputs={1: (0, 1), 2: (0,), 3: (1,), 4: (0, 1)})
    patterns = [Pattern(WEAK, (0,)), Pattern(WEAK, (0, 1)), Pattern(STRONG, (0, 1))]
    assert config.misfits(table_of(config, *patterns)) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"outputs": {5: (0,)}}, "there is no output 5"),
        ({"outputs": {}}, "no output is wired"),
        ({"outputs": {1: (2, 2)}}, "name each once"),
        ({"outputs": {1: (0, 1)}, "volts_per_ua": 0.1}, "would divide between them"),
    ],
)
def test_impossible_wiring_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        PulsePalConfig(**settings)


def test_an_electrode_that_the_rig_does_not_have_is_refused(beside):
    with pytest.raises(ConfigError, match="electrode 64 does not exist"):
        PulsePalConfig(outputs={1: (64,)}).describe(beside)


def test_a_named_port_stays_while_the_device_is_plugged_in(tmp_path):
    link = tmp_path / "pulsepal"
    port = DevicePort(lambda data: data, str(link))
    assert port.name == str(link)
    assert Path(link).exists()
    port.close()
    port.close()
    assert not link.is_symlink()
