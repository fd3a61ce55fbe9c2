"""The emulated RHX speaks as RHX does: silence, refusals, one client per port."""

import numpy as np
import pytest

from wetloop_drivers.emulators.intan_rhx_board import Board, Hooks

RANGE = b"command. Acceptable: between 0 and 256"
SHAPES = b"Biphasic, BiphasicWithInterphaseDelay, Triphasic"
FACTS = {"Type": "ControllerStimRecord", "Version": "3.4.0", "SampleRateHertz": "25000"}


def board(**hooks):
    return Board(("A-000", "A-001"), FACTS, hooks=Hooks(**hooks))


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"get version", b"Return: Version 3.4.0"),
        (b"GET Type;", b"Return: Type ControllerStimRecord"),
        (b"get a-001.source;", b"Return: Source DigitalIn01"),
        (b"set A-000.StimEnabled true;", b""),
        (b"get type;get version", b"Return: Type ControllerStimRecordReturn: Version 3.4.0"),
        (b"get nothing", b"Unrecognized parameter"),
        (b"set B-000.StimEnabled True", b"Unrecognized parameter"),
        (b"execute nothing", b"Unrecognized action"),
        (b"hello world", b"Unrecognized command"),
        (b"set version 1", b"Version cannot be changed through software after startup."),
        (b"set A-000.shape square", b"Invalid value for Shape command. Acceptable: " + SHAPES),
        (b"set A-000.NumberOfStimPulses 257", b"Invalid value for NumberOfStimPulses " + RANGE),
        (b"set runmode stop", b"Board must be running in order to stop"),
        (b"get currenttimestamp", b"Return: -1"),
        (b" ; ;;", b""),
    ],
)  # fmt: skip
def test_what_it_says(said, reply):
    assert board().hear(said) == reply


def test_two_commands_without_a_semicolon_become_one():
    assert board().hear(b"get versionget type") == b"Unrecognized parameter"


def test_values_are_kept_as_rhx_writes_them():
    rhx = board()
    assert rhx.hear(b"set a-000.source keypressf3;set a-000.RefractoryPeriodMicroseconds 2000.0") == b""
    assert rhx.value("A-000.Source") == "KeyPressF3"
    assert rhx.hear(b"get A-000.RefractoryPeriodMicroseconds") == b"Return: RefractoryPeriodMicroseconds 2000"


def test_a_running_board_refuses_what_needs_a_stopped_one():
    rhx = board()
    assert rhx.hear(b"set runmode run;get runmode;") == b"Return: RunMode Run"
    assert rhx.hear(b"set a-000.stimenabled true") == b"StimEnabled cannot be set while the board is running"
    assert b"cannot be executed while the board is running" in rhx.hear(b"execute uploadstimparameters")
    assert rhx.hear(b"set runmode run") == b"Board must be stopped in order to start running"
    assert rhx.hear(b"set runmode stop;get runmode") == b"Return: RunMode Stop"


def test_an_upload_takes_a_while_and_no_second_one_meanwhile():
    loaded = []
    rhx = board(uploaded=loaded.append)
    assert rhx.hear(b"execute uploadstimparameters a-001;") == b""
    assert rhx.hear(b"execute uploadstimparameters") != b""
    states = [rhx.hear(b"get uploadinprogress").split()[-1] for _ in range(3)]
    assert states == [b"True", b"False", b"False"]
    assert loaded == ["A-001"]


def test_keys_and_outputs_reach_the_rest_of_the_rig():
    pressed, heard = [], []
    rhx = board(key_pressed=pressed.append, listen=heard.append, connected=lambda _: "Pending")
    assert rhx.hear(b"execute manualstimtriggerpulse F1;execute manualstimtriggerpulse f8;") == b""
    assert rhx.hear(b"execute ConnectTCPSpikeDataOutput;") == b""
    assert (pressed, heard) == ([0, 7], ["Spike"])
    assert rhx.hear(b"get TCPWaveformDataOutputConnectionStatus").endswith(b" Pending")


def test_outputs_are_cleared_together():
    rhx = board()
    rhx.hear(b"set a-000.tcpdataoutputenabled true;set a-001.tcpdataoutputenabledstim true;")
    rhx.hear(b"execute clearalldataoutputs;")
    assert {rhx.value(f"{c}.TCPDataOutputEnabled{b}") for c in ("A-000", "A-001") for b in ("", "Stim")} == {"False"}


def test_any_bytes_are_survived():
    rhx, rng = board(), np.random.default_rng(1)
    for _ in range(200):
        rhx.hear(rng.integers(0, 256, 40).astype(np.uint8).tobytes())
    assert rhx.hear(b"get runmode") == b"Return: RunMode Stop"
