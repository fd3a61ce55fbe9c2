"""What fits eight keys, and what is said where something does not."""

from dataclasses import replace

import pytest

from wetloop.core.guard import Pattern, Pulse, StimGuard
from wetloop.core.limits import StimLimits
from wetloop_drivers.intan_rhx_config import IntanRhxConfig
from wetloop_drivers.intan_rhx_keys import parameters, plan_keys

CONFIG = IntanRhxConfig()


def table_of(patterns):
    return StimGuard(CONFIG.describe()).prepare(patterns)


def pattern(*channels, amplitude_ua=1.0, phase_us=200.0):
    return Pattern(Pulse.balanced(amplitude_ua, phase_us, "uA"), channels)


def dishbrain(feedback_ua):
    singles = {f"sensory {k}": pattern(k) for k in range(8)}
    random = {f"random {k}": pattern(k, amplitude_ua=feedback_ua) for k in range(8)}
    return table_of(singles | random | {"predictable": pattern(*range(8))})


def test_dishbrain_with_one_amplitude_takes_eight_keys():
    table = dishbrain(1.0)
    assert CONFIG.misfits(table) == ()
    plan = plan_keys(table)
    assert plan.channels_of_key == tuple((k,) for k in range(8))
    assert plan.keys_of_pattern[3] == plan.keys_of_pattern[11] == (3,)
    assert plan.keys_of_pattern[16] == tuple(range(8))
    assert plan.press(16) == b"".join(b"execute manualstimtriggerpulse F%d;" % k for k in range(1, 9))
    assert plan.release().count(b";") == 8


def test_two_amplitudes_on_a_channel_are_told_once_with_numbers():
    (fault,) = CONFIG.misfits(dishbrain(2.0))
    assert "channels 0, 1, 2, 3, 4, 5, 6, 7" in fault
    assert "-1 uA for 200 us" in fault
    assert "-2 uA for 200 us" in fault
    assert "'sensory 0'" in fault
    assert "'random 0'" in fault


def test_more_groups_than_keys_are_refused():
    (fault,) = CONFIG.misfits(table_of({str(k): pattern(k) for k in range(9)}))
    assert "9 groups" in fault
    assert "8 keys" in fault


def test_channels_that_always_go_together_share_a_key():
    plan = plan_keys(table_of({"a": pattern(3, 1), "b": pattern(1, 3, 5), "c": pattern(5)}))
    assert plan.channels_of_key == ((1, 3), (5,))
    assert plan.keys_of_pattern == ((0,), (0, 1), (1,))


@pytest.mark.parametrize("phase_us", [210.0, 30.0])
def test_widths_off_the_sample_grid_are_refused(phase_us):
    faults = CONFIG.misfits(table_of({"a": pattern(0, phase_us=phase_us)}))
    assert all("no multiple of the sample period 40 us" in fault for fault in faults)
    assert len(faults) == 2


def test_phases_of_one_sign_are_refused():
    unlimited = StimGuard(replace(CONFIG.describe(), limits=StimLimits()))
    pulse = Pulse(-1.0, 200.0, -1.0, 200.0, "uA")
    (fault,) = CONFIG.misfits(unlimited.prepare({"a": Pattern(pulse, (0,))}))
    assert "same sign" in fault


def test_an_rhd_controller_refuses_every_table():
    (fault,) = IntanRhxConfig(controller="rhd").misfits(table_of({"a": pattern(0)}))
    assert "cannot stimulate" in fault


def test_the_parameters_keep_what_rhx_checks_in_silence():
    values = parameters(Pulse(2.0, 200.0, -1.0, 400.0, "uA", 80.0), 6, 1500.0, 1000.0)
    assert values["Source"] == "KeyPressF7"
    assert values["Shape"] == "BiphasicWithInterphaseDelay"
    assert values["Polarity"] == "PositiveFirst"
    assert float(values["FirstPhaseAmplitudeMicroAmps"]) == 2.0
    assert float(values["SecondPhaseAmplitudeMicroAmps"]) == 1.0

    def us(name):
        return float(values[f"{name}Microseconds"])

    assert us("PostTriggerDelay") >= us("PreStimAmpSettle")
    assert us("PostStimChargeRecovOff") >= us("PostStimChargeRecovOn")
    assert us("RefractoryPeriod") >= max(us("PostStimAmpSettle"), us("PostStimChargeRecovOff"))
    assert us("PulseTrainPeriod") >= 200 + 80 + 400
    assert list(values)[-1] == "StimEnabled"


def test_amplitudes_are_rounded_to_the_step_before_the_run():
    table = table_of({"a": pattern(0, amplitude_ua=1.04)})
    assert table.patterns[0].pulse.second_amplitude == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampling_frequency_hz": 10_000}, "RHS has 20000"),
        ({"stim_step_ua": 0.3}, "0.3"),
        ({"refractory_us": 500}, "settle_us"),
        ({"channels": ("A-000",)}, "64 electrodes"),
        ({"channels": ("A0",) * 64}, "A-000"),
        ({"channels_per_port": 4}, "channels_per_port"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        IntanRhxConfig(**settings)


def test_electrodes_may_be_wired_in_any_order():
    probe = {"columns": 2, "rows": 2}
    config = IntanRhxConfig(probe=probe, channels=("B-001", "A-003", "B-000", "A-001"))
    assert config.names == ("A-001", "A-003", "B-000", "B-001")
    assert config.array().device_channel_indices.tolist() == [3, 1, 2, 0]


def test_the_floor_of_the_loop_is_declared():
    info = IntanRhxConfig(sampling_frequency_hz=30_000).describe()
    assert info.packet_samples == 1024
    assert info.lead_samples > 1024 + info.samples(info.latency_ms + info.trigger_latency_ms)
