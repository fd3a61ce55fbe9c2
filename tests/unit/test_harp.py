"""A Harp device over a real serial line: its lines fire stimulators, and its clock tells when."""

import pytest

from wetloop.core.clock import wait_until
from wetloop.core.errors import RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop_drivers import harp_wire as wire
from wetloop_drivers.emulators.harp import OUTPUTS
from wetloop_drivers.harp import HarpConfig

PULSE = Pulse.balanced(100, 200, "mV")
LINES = [{"bit": 3, "electrodes": [0], "amplitude": 100, "phase_us": 200}]


@pytest.fixture
def rig(plugged):
    return plugged("harp")


def test_lines_rise_and_fall_and_the_device_tells_when(rig, ready):
    dish, emulator, config = rig
    with ready(config, Pattern(PULSE, (2,)), Pattern(PULSE, (0, 1))) as stimulator:
        for pattern in (0, 1, 0):
            stimulator.trigger(pattern, 0)
            stimulator.ping()
        assert wait_until(lambda: len(dish.delivered) == 3, 5.0)
        deliveries, inputs = list(stimulator.deliveries), list(stimulator.inputs)
    assert [pulse.pattern.channels for pulse in dish.delivered] == [(2,), (0, 1), (2,)]
    assert [delivery.mask for delivery in deliveries] == [4, 3, 4]
    assert all(0 < d.synced_us - d.raised_us <= 100 + wire.TICK_US for d in deliveries)
    assert [event.state for event in inputs] == [1, 0] * 3
    times_us = [event.time_us for event in inputs]
    assert times_us == sorted(times_us)
    assert wait_until(lambda: emulator.board.registers[wire.OPERATION][0] == 0, 5.0)
    assert emulator.board.registers[OUTPUTS][0] == 0


def test_silence_after_a_trigger_waits_for_its_own_answer(rig, ready):
    _, emulator, config = rig
    with ready(config, Pattern(PULSE, (2,))) as stimulator:
        for _ in range(5):
            stimulator.trigger(0, 0)
            stimulator.silence()
        assert len(stimulator.deliveries) == 5
        assert emulator.board.registers[OUTPUTS][0] == 0


def test_another_kind_of_device_is_refused(rig, ready):
    _, _, config = rig
    other = config.model_copy(update={"who_am_i": 1104})
    with pytest.raises(RigError, match="kind 1216, not 1104"), ready(other, Pattern(PULSE, (0,))):
        pass
    with ready(config.model_copy(update={"who_am_i": None}), Pattern(PULSE, (0,))) as stimulator:
        stimulator.ping()


def test_a_register_that_is_not_there_is_told(rig, ready):
    _, _, config = rig
    wrong = config.model_copy(update={"clear_register": 99})
    with pytest.raises(RigError, match="refuses 65535 in register 99"), ready(wrong, Pattern(PULSE, (0,))):
        pass
    wrong = config.model_copy(update={"set_register": 98})
    with ready(wrong, Pattern(PULSE, (0,))) as stimulator:
        stimulator.trigger(0, 0)
        with pytest.raises(RigError, match="is set_register 98 the right one"):
            stimulator.ping()


def test_a_line_that_is_not_raised_is_told_at_the_next_trigger(rig, ready, port_of):
    _, emulator, config = rig
    raises = wire.command(config.set_register, 2, 1)
    deaf = port_of(lambda data: emulator.board.hear(data.removeprefix(raises), 0))
    with (
        ready(config.model_copy(update={"ports": (deaf.name,)}), Pattern(PULSE, (0,))) as stimulator,
        pytest.raises(RigError, match="a line was not raised"),
    ):
        wait_until(lambda: stimulator.trigger(0, 0), 5.0)


def test_a_cut_cable_is_told_with_its_port(rig, ready):
    _, emulator, config = rig
    with ready(config, Pattern(PULSE, (0,))) as stimulator:
        emulator.unplug()
        with pytest.raises(RigError, match=f"{config.ports[0]} is gone"):
            stimulator.trigger(0, 0)


@pytest.mark.parametrize("pattern", [Pattern(PULSE, (1,)), Pattern(Pulse.balanced(90, 200, "mV"), (0,))])
def test_what_no_line_delivers_is_told_with_numbers(pattern, table_of):
    config = HarpConfig(lines=LINES)
    (told,) = config.misfits(table_of(config, pattern))
    assert told.endswith("but no lines deliver that: bit 3 -100 / 100 mV, 200 / 200 us on [0]")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lines": LINES * 2}, "each once"),
        ({"lines": [LINES[0] | {"bit": 16}]}, "bit 16 is not in a register of 2 bytes"),
        ({"lines": LINES, "sync_bit": 2, "stop_input": 2}, "wire the stop to another one"),
    ],
)
def test_impossible_lines_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        HarpConfig(**settings)


def test_an_input_asks_to_stop_once_it_was_raised(rig, ready, table_of, beside):
    _, emulator, config = rig
    with ready(config, Pattern(PULSE, (0,))) as stimulator:
        stimulator.trigger(0, 0)
        stimulator.ping()
        assert stimulator.stop_asked() is False
        emulator.press_stop()
        assert wait_until(stimulator.stop_asked, 5.0)
        assert [event.state for event in stimulator.inputs] == [1, 0, 2]
    with pytest.raises(RigError, match=r"input 1 \(stop_input\) asks to stop: release it"):
        config.build(beside).prepare(table_of(config, Pattern(PULSE, (0,))))
    with ready(config.model_copy(update={"stop_input": None}), Pattern(PULSE, (0,))) as stimulator:
        assert stimulator.stop_asked() is None


def test_an_input_that_is_low_can_ask_to_stop(rig, ready):
    _, _, config = rig
    with (
        pytest.raises(RigError, match="asks to stop"),
        ready(config.model_copy(update={"stop_when": "low"}), Pattern(PULSE, (0,))),
    ):
        pass
