"""What the guard refuses before a run, and what it says."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wetloop.core.errors import GuardError
from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.layout import grid_probe
from wetloop.core.limits import StimLimits
from wetloop.core.types import RigInfo, Signal

HARDWARE = StimLimits(
    max_amplitude_mv=900, min_phase_us=50, max_phase_us=1000, max_charge_nc=4, max_charge_density_uc_cm2=900,
    max_imbalance=0.001, max_electrodes=2, forbidden_channels=(3,),
)  # fmt: skip
GOOD = Pulse.balanced(75.0, 200.0, "mV")


def rig(**changes):
    info = RigInfo(
        name="rig", sampling_frequency=25000.0, probe=grid_probe(4, 1, 200.0), signal=Signal.SPIKES,
        gain_uv=np.ones(4, np.float32), packet_samples=25, lead_samples=75, unit="mV", limits=HARDWARE,
        electrode_area_um2=707.0, access_resistance_kohm=12.0,
    )  # fmt: skip
    return replace(info, **changes)


def refusal(pulse=GOOD, channels=(0,), guard=None):
    with pytest.raises(GuardError) as caught:
        (guard or StimGuard(rig())).prepare({"p": Pattern(pulse, channels)})
    return str(caught.value)


@pytest.mark.parametrize(
    ("pulse", "said"),
    [
        (replace(GOOD, first_amplitude=math.nan), "first_amplitude is nan, not a finite number"),
        (replace(GOOD, second_us=math.inf), "second_us is inf, not a finite number"),
        (replace(GOOD, first_us=-200.0), "first_us -200 us is under the limit of 50 us"),
        (replace(GOOD, interphase_us=-1.0), "interphase_us -1 us is negative"),
        (Pulse.balanced(901.0, 60.0, "mV"), "first_amplitude -901 mV is over the limit of 900 mV"),
        (Pulse.balanced(10.0, 2000.0, "mV"), "first_us 2000 us is over the limit of 1000 us"),
        (Pulse.balanced(500.0, 200.0, "mV"), "charge per phase 8.333 nC is over the limit of 4 nC"),
        (replace(GOOD, second_us=199.0), "charge imbalance 0.005 is over the limit of 0.001"),
        (replace(GOOD, second_amplitude=-75.0), "charge imbalance 2 is over the limit"),
        (replace(GOOD, second_amplitude=0.0), "second_amplitude is 0 mV: a pulse has two phases"),
        (replace(GOOD, unit="uA"), "unit is uA, but rig stimulates in mV"),
    ],
)
def test_a_bad_pulse_is_refused_with_field_value_limit_and_unit(pulse, said):
    assert said in refusal(pulse)


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ((), "channels is empty"),
        ((1, 1), "names an electrode twice"),
        ((0, 1, 2), "3 electrodes at once are over the limit of 2"),
        ((4,), "channel 4 does not exist: rig has channels 0 to 3"),
        ((-1,), "channel -1 does not exist"),
        ((3,), "channel 3 is forbidden"),
    ],
)
def test_bad_electrodes_are_refused(channels, said):
    assert said in refusal(channels=channels)


def test_every_fault_is_told_at_once():
    said = refusal(Pulse.balanced(2000.0, 2000.0, "mV"), (0, 3))
    assert said.count("\n") == 7


def test_charge_density_follows_the_electrode_area():
    small = StimGuard(rig(electrode_area_um2=50.0))
    assert "charge density 2500 uC/cm2 is over the limit of 900 uC/cm2" in refusal(guard=small)


def test_a_session_can_only_tighten():
    loose, tight = StimLimits(max_amplitude_mv=5000, min_phase_us=1), StimLimits(max_amplitude_mv=50)
    assert StimGuard(rig(), loose).limits == HARDWARE
    assert "over the limit of 50 mV" in refusal(guard=StimGuard(rig(), loose, tight))
    assert StimGuard(rig(), StimLimits(forbidden_channels=(0,))).limits.forbidden_channels == (0, 3)


def test_a_table_that_does_not_fit_is_refused():
    guard = StimGuard(rig(max_patterns=2))
    with pytest.raises(GuardError, match="3 patterns asked for, but rig holds at most 2"):
        guard.prepare({str(i): Pattern(GOOD, (i,)) for i in range(3)})


def test_the_table_holds_what_the_stimulator_really_delivers():
    table = StimGuard(rig(amplitude_step=10.0)).prepare({"p": Pattern(Pulse.balanced(74.0, 200.0, "mV"), (0,))})
    assert table.patterns[0].pulse.second_amplitude == 70.0
    assert table.charge_nc[0] == pytest.approx(70 * 200e-3 / 12)


def test_patterns_are_found_by_name():
    table = StimGuard(rig()).prepare({n: Pattern(GOOD, (i,)) for i, n in enumerate("abc")})
    assert table.find("b", "c") == (1, 2)
    with pytest.raises(GuardError, match="not consecutive"):
        table.find("a", "c")
