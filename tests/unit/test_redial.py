"""A serial stimulator that is unplugged: silent while it is away, loaded anew when it is back, never fired twice."""

import threading
from dataclasses import dataclass

import pytest
from serial_bench import fired

from wetloop.core.clock import wait_until
from wetloop.core.errors import LatePulseError, RigError
from wetloop.core.guard import Pattern, Pulse
from wetloop.core.protocols import Answers, Stimulator, StopInput
from wetloop.emulation import bench
from wetloop.registry import find
from wetloop_drivers import harp_wire, pulsepal_wire

BACK_S = 20.0
UNITS = {"pulsepal": "mV", "stimjim": "uA", "harp": "mV"}
AMPLITUDES = {"mV": 100, "uA": 5}
WITHOUT_STOP = {"harp": {"stop_input": None}}
LOADED = {
    "pulsepal": pulsepal_wire.message(pulsepal_wire.READ),
    "stimjim": b"S1,",
    "harp": harp_wire.command(harp_wire.OPERATION, 1, harp_wire.ACTIVE),
}
SILENCED = {
    "pulsepal": pulsepal_wire.message(pulsepal_wire.ABORT),
    "stimjim": b"T-1\nU-1\n",
    "harp": harp_wire.command(35, 2, 0xFFFF),
}
"""The last that each is told when it is loaded, and when it is silenced."""
OTHERS = {"pulsepal": "stimjim", "stimjim": "harp", "harp": "pulsepal"}


@dataclass
class Desk:
    """A device, and others of any kind, that can be plugged into the same port; one dish has all their electrodes."""

    kind: str
    link: str
    dish: object
    emulators: list
    settings: dict

    def config(self, policy="reconnect", patience_s=60.0, **more):
        own = self.settings | WITHOUT_STOP.get(self.kind, {}) | more
        return find("wetloop.stimulators", self.kind)(**own, reconnect={"policy": policy, "patience_s": patience_s})

    @property
    def patterns(self):
        unit = UNITS[self.kind]
        pulse = Pulse.balanced(AMPLITUDES[unit], 200, unit)
        return Pattern(pulse, (0,)), Pattern(pulse, (1,))

    def unplug(self):
        self.emulators[0].unplug()

    def plug_in(self, number=1):
        self.emulators[number].open()

    @property
    def reached(self):
        """Electrodes that were stimulated, in order."""
        return [pulse.pattern.channels for pulse in self.dish.delivered]


@pytest.fixture
def desk(tmp_path):
    """Plug the first device of a kind in; return the desk with a second of the kind, and a third of another."""
    desks = []

    def plugged_in(kind):
        link, other = str(tmp_path / kind), OTHERS[kind]
        kinds = [kind, kind, other]
        dish, emulators = bench(kinds, ["culture.kind=poisson", f"{kind}.link={link}", f"{other}.link={link}"])
        desks.append(Desk(kind, link, dish, emulators, dict(dish.start(emulators[:1]))))
        return desks[-1]

    yield plugged_in
    for used in desks:
        for emulator in used.emulators:
            emulator.close()
        used.dish.close()
        assert used.dish.failure is None


def begin(desk, stimulator):
    """Deliver a pulse, and cut the line."""
    stimulator.trigger(0, 0)
    assert wait_until(lambda: desk.reached == [(0,)], BACK_S)
    desk.unplug()


@pytest.fixture(params=UNITS)
def kind(request):
    return request.param


def test_pulses_while_it_is_away_are_left_out_and_later_ones_delivered_once(desk, kind, ready):
    rig = desk(kind)
    with ready(rig.config(), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        assert not any(fired(stimulator, 1) for _ in range(20))
        with pytest.raises(LatePulseError, match=rf"away for \d+\.\d s; .* at {rig.link} is gone"):
            stimulator.trigger(0, 0)
        with pytest.raises(LatePulseError, match="away"):
            stimulator.ping()
        rig.plug_in()
        assert rig.reached == [(0,)]
        assert wait_until(lambda: fired(stimulator, 1), BACK_S)
        assert wait_until(lambda: fired(stimulator, 0), BACK_S)
        stimulator.ping()
        stimulator.ping()
        assert rig.reached == [(0,), (1,), (0,)]


def test_it_is_lost_and_found_more_than_once(desk, kind, ready):
    rig = desk(kind)
    with ready(rig.config(), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        for number in (1, 0):
            assert not fired(stimulator, 0)
            rig.plug_in(number)
            assert wait_until(lambda: fired(stimulator, 1), BACK_S)
            stimulator.ping()
            rig.emulators[number].unplug()
        assert rig.reached == [(0,), (1,), (1,)]


def test_a_loss_that_nobody_noticed_costs_one_pulse(desk, kind, ready):
    rig = desk(kind)
    with ready(rig.config(), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        rig.plug_in()
        assert not fired(stimulator, 1)
        assert wait_until(lambda: fired(stimulator, 1), BACK_S)
        stimulator.ping()
        assert rig.reached == [(0,), (1,)]


def test_silence_while_it_is_away_is_kept_when_it_is_back(desk, kind, ready, monkeypatch):
    rig, heard = desk(kind), bytearray()
    device = getattr(rig.emulators[1], "board" if kind == "harp" else "firmware")
    hear = device.hear
    monkeypatch.setattr(device, "hear", lambda data, now: heard.extend(data) or hear(data, now))
    with ready(rig.config(), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        stimulator.silence()
        stimulator.silence()
        assert not fired(stimulator, 0)
        rig.plug_in()
        assert wait_until(lambda: not raises(stimulator.ping), BACK_S)
        assert 0 < heard.rfind(LOADED[kind]) < heard.rfind(SILENCED[kind])
        assert rig.reached == [(0,)]
        stimulator.trigger(1, 0)
        stimulator.ping()
        assert rig.reached == [(0,), (1,)]


def raises(ask):
    try:
        ask()
    except RigError:
        return True
    return False


def test_patience_ends_with_the_device_its_port_and_the_time(desk, kind, ready):
    rig = desk(kind)
    with ready(rig.config(patience_s=0.3), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        in_vain = rf"did not come back within 0\.3 s: no .* answers.*{rig.link} cannot be opened"
        told = f"(?s) at {rig.link} is gone .* {in_vain}"
        with pytest.raises(RigError, match=told):
            wait_until(lambda: fired(stimulator, 0) and False, BACK_S)
        with pytest.raises(RigError, match=told):
            stimulator.ping()
        stimulator.silence()


def test_another_kind_of_device_is_not_taken(desk, kind, ready):
    rig = desk(kind)
    with ready(rig.config(patience_s=0.3), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        rig.plug_in(2)
        with pytest.raises(RigError, match=r"did not come back within 0\.3 s: no .* answers"):
            wait_until(lambda: fired(stimulator, 0) and False, BACK_S)
    assert rig.reached == [(0,)]


def test_closing_ends_the_search_and_leaves_the_port(desk, kind, table_of, beside):
    rig = desk(kind)
    config, before = rig.config(), set(threading.enumerate())
    stimulator = config.build(config.describe(beside))
    stimulator.prepare(table_of(config, *rig.patterns))
    begin(rig, stimulator)
    stimulator.silence()
    stimulator.close()
    stimulator.close()
    assert {thread.name for thread in threading.enumerate() if thread not in before} == set()
    with pytest.raises(RigError, match="is not connected"):
        stimulator.trigger(0, 0)
    rig.plug_in()
    again = config.build(config.describe(beside))
    again.prepare(table_of(config, *rig.patterns))
    again.close()


def test_without_the_policy_a_lost_line_ends_it(desk, kind, ready):
    rig = desk(kind)
    with ready(rig.config("stop"), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        for ask in (lambda: stimulator.trigger(0, 0), stimulator.ping, stimulator.silence):
            with pytest.raises(
                RigError, match=f"{rig.link} is gone .*: plug it in again, and start a new session$"
            ) as told:
                ask()
            assert not isinstance(told.value, LatePulseError)
        rig.plug_in()
        assert raises(stimulator.ping)


def test_a_device_that_does_not_hold_what_was_loaded_is_not_taken(desk, ready, monkeypatch):
    rig = desk("stimjim")
    replaced = rig.emulators[1].firmware
    hear = replaced.hear
    monkeypatch.setattr(replaced, "hear", lambda data, now_s: hear(data.replace(b"-5,", b"-6,"), now_s))
    with ready(rig.config(patience_s=0.3), *rig.patterns) as stimulator:
        begin(rig, stimulator)
        rig.plug_in()
        with pytest.raises(RigError, match=r"did not come back .*: StimJim at .* stored train 0 as"):
            wait_until(lambda: fired(stimulator, 0) and False, BACK_S)
    assert rig.reached == [(0,)]


def test_it_offers_what_the_engine_asks_of_the_device(desk, kind, beside):
    rig = desk(kind)
    config = rig.config()
    stimulator = config.build(config.describe(beside))
    assert isinstance(stimulator, Stimulator)
    assert isinstance(stimulator, Answers)
    assert not isinstance(stimulator, StopInput)
    stimulator.close()


def test_a_stop_input_that_cannot_be_read_ends_it_whatever_the_policy(desk, ready):
    rig = desk("harp")
    with ready(rig.config(stop_input=1), *rig.patterns) as stimulator:
        assert stimulator.stop_asked() is False
        begin(rig, stimulator)
        with pytest.raises(RigError, match=f"{rig.link} is gone"):
            wait_until(stimulator.stop_asked, BACK_S)
        with pytest.raises(RigError) as told:
            stimulator.trigger(0, 0)
        assert not isinstance(told.value, LatePulseError)
