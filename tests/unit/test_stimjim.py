"""A StimJim over a real serial line: trains stored and read back, started, counted and never late."""

import pytest
from serial_bench import fired

from wetloop.core.clock import wait_until
from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop_drivers import stimjim_wire as wire
from wetloop_drivers.stimjim import StimJimConfig

WEAK, STRONG = Pulse.balanced(5, 200, "uA"), Pulse(-9, 100, 9, 100, "uA", 50)


@pytest.fixture
def rig(plugged):
    return plugged("stimjim")


def test_each_pattern_is_a_train_of_one_pulse_and_is_counted(rig, ready, beside):
    dish, emulator, config = rig
    with ready(config, Pattern(WEAK, (0,)), Pattern(STRONG, (1, 0)), Pattern(STRONG, (1,))) as stimulator:
        assert emulator.firmware.trains[1] == wire.Train(
            (1, 1), 2000, 1900, (wire.Stage(-9, -9, 100), wire.Stage(0, 0, 50), wire.Stage(9, 9, 100))
        )
        for n, pattern in enumerate((0, 1, 2), 1):
            assert wait_until(lambda p=pattern: fired(stimulator, p), 5.0)
            assert wait_until(lambda n=n: stimulator.ping() or stimulator.reports.completed == n, 5.0)
        assert stimulator.reports == wire.Reports(started=3, completed=3, delivered=3)
    assert [pulse.pattern.channels for pulse in dish.delivered] == [(0,), (0, 1), (1,)]
    kohm = beside.access_resistance_kohm
    told = [(pulse.pattern.pulse.second_amplitude, pulse.pattern.pulse.interphase_us) for pulse in dish.delivered]
    assert told == [(5 * kohm, 0), (9 * kohm, 50), (9 * kohm, 50)]


def test_a_pulse_that_would_be_held_back_is_late(rig, ready):
    _, _, config = rig
    slow = config.model_copy(update={"min_interval_ms": 10_000})
    with ready(slow, Pattern(Pulse.balanced(5, 3_900_000, "uA"), (0,)), Pattern(WEAK, (1,))) as stimulator:
        stimulator.trigger(0, 0)
        with pytest.raises(LatePulseError, match="still delivered"):
            stimulator.trigger(1, 0)


def test_the_port_is_chosen_by_its_answer(rig, ready, port_of):
    _, _, config = rig
    other = port_of(lambda data: data)
    with ready(config.model_copy(update={"ports": (other.name, *config.ports)}), Pattern(WEAK, (0,))) as stimulator:
        stimulator.ping()


def test_a_device_that_stores_something_else_is_refused(rig, ready, port_of):
    _, emulator, config = rig
    port = port_of(lambda data: emulator.firmware.hear(data.replace(b"-5,", b"-6,"), 0.0))
    with (
        pytest.raises(RigError, match="stored train 0 as"),
        ready(config.model_copy(update={"ports": (port.name,)}), Pattern(WEAK, (0,))),
    ):
        pass


def test_a_train_that_is_not_started_is_told_at_the_next_trigger(rig, ready, port_of):
    _, emulator, config = rig
    port = port_of(lambda data: b"" if data.startswith(b"T") else emulator.firmware.hear(data, 0.0))
    with (
        ready(config.model_copy(update={"ports": (port.name,)}), Pattern(WEAK, (0,))) as stimulator,
        pytest.raises(RigError, match="a train was not started"),
    ):
        wait_until(lambda: fired(stimulator, 0) and False, 5.0)


def test_a_cut_cable_is_told_with_its_port(rig, ready):
    _, emulator, config = rig
    with ready(config, Pattern(WEAK, (0,))) as stimulator:
        emulator.unplug()
        with pytest.raises(RigError, match=f"{config.ports[0]} is gone"):
            stimulator.trigger(0, 0)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (Pattern(WEAK, (5,)), r"no outputs together feed exactly electrodes \[5\]: output 1 feeds \[0\]"),
        (Pattern(Pulse.balanced(5, 200.5, "uA"), (0,)), "first_us 200.5 us is no whole number"),
        (Pattern(Pulse(-5, 200, 5, 200, "uA", 10), (0,)), "interphase_us 10 us is under 20 us"),
        (Pattern(Pulse.balanced(3, 1200, "uA"), (0,)), "2400 us long, but .* at most 2000 us"),
        (Pattern(Pulse.balanced(1, 200, "uA"), (0,)), "may unbalance it by 10%, .* use at least 3 uA"),
    ],
)
def test_what_does_not_fit_is_told_with_numbers(pattern, told, table_of):
    config = StimJimConfig(outputs={1: (0,), 2: (1,)})
    with pytest.raises(AssertionError, match=told):
        raise AssertionError("\n".join(config.misfits(table_of(config, pattern))))


@pytest.mark.parametrize(
    ("outputs", "told"), [({3: (0,)}, "there is no output 3"), ({1: (0, 1)}, "would divide between them")]
)
def test_impossible_wiring_is_refused(outputs, told):
    with pytest.raises(ValueError, match=told):
        StimJimConfig(outputs=outputs)
