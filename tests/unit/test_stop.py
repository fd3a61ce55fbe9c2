"""The emergency stop: which sessions it reaches, and what it says of them."""

import numpy as np
import pytest

from wetloop.cli.main import main
from wetloop.core.errors import RigError
from wetloop.engine.arena import Arena
from wetloop.engine.emergency import stop_sessions
from wetloop.engine.words import CONTROL_WORDS, EMERGENCY, EMERGENCY_NOTE, GO, NOTE, NOTES, SILENCE, SILENCED

SESSION = {"control": (np.int64, (CONTROL_WORDS,)), "notes": (NOTE, (NOTES,))}


def words(arena):
    return np.flatnonzero(arena.arrays["control"]).tolist()


def test_all_sessions_are_stopped_where_none_is_named(tmp_path):
    assert stop_sessions([], "ann", tmp_path) == {}
    with Arena.create("one", SESSION, tmp_path) as one, Arena.create("two", SESSION, tmp_path) as two:
        assert list(stop_sessions([], "ann", tmp_path)) == ["one", "two"]
        assert words(one) == words(two) == [SILENCE, EMERGENCY]
        assert two.arrays["notes"][EMERGENCY_NOTE]["who"] == b"ann"


def test_only_the_one_that_is_named(tmp_path):
    with Arena.create("one", SESSION, tmp_path) as one, Arena.create("two", SESSION, tmp_path) as two:
        two.arrays["control"][[GO, SILENCED]] = 1
        assert list(stop_sessions(["two"], "ann", tmp_path)) == ["two"]
        assert (words(one), EMERGENCY in words(two)) == ([], True)


def test_a_rig_that_does_not_confirm_is_told(tmp_path):
    with Arena.create("one", SESSION, tmp_path) as one:
        one.arrays["control"][GO] = 1
        assert stop_sessions([], "ann", tmp_path) == {"one": float("inf")}


def test_a_name_of_no_session_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(RigError, match="no session called three is running; none is"):
        stop_sessions(["three"], "ann", tmp_path)
    with Arena.create("one", SESSION, tmp_path) as one, Arena.create("two", SESSION, tmp_path):
        with pytest.raises(RigError, match="no session called three is running; one, two"):
            stop_sessions(["three"], "ann", tmp_path)
        assert words(one) == []


def test_the_command_refuses_an_unknown_name_and_wants_now(capsys):
    assert main(["stop", "nobody", "--now"]) == 3
    assert "no session called nobody is running; " in capsys.readouterr().err
    assert main(["stop", "nobody"]) == 2
    assert "say --now" in capsys.readouterr().err
