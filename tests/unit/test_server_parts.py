"""State machine, locks, keys and addresses of a server."""

import subprocess
import sys

import pytest

import wetloop
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError, RigError
from wetloop.net.addresses import require_safe
from wetloop.net.keys import PAIRS, key_pair, new_keys, public_key
from wetloop.server.place import Lock, rig_folder, rig_name, server_lock
from wetloop.server.protocol import RefusalError
from wetloop.server.states import ALLOWED, Machine


def test_a_rig_is_disarmed_until_somebody_arms_it(tmp_path):
    machine = Machine(tmp_path / "log")
    assert machine.state == "disarmed"
    with pytest.raises(RefusalError, match="never armed"):
        machine.go("running", "ann", "now")
    assert machine.go("armed", "ann", "checked").before == "disarmed"


def test_a_trip_outlives_the_server_and_is_left_for_armed_only(tmp_path):
    machine = Machine(tmp_path / "log")
    for state in ("armed", "running", "tripped"):
        machine.go(state, "ann", state)
    again = Machine(tmp_path / "log")
    assert (again.state, again.last.who, again.last.why) == ("tripped", "ann", "tripped")
    assert ALLOWED["tripped"] == ("armed",)
    with pytest.raises(RefusalError):
        again.go("running", "ann", "")


def test_a_transition_that_a_crash_cut_short_does_not_count(tmp_path):
    Machine(tmp_path / "log").go("armed", "ann", "")
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"state": "runn')
    assert Machine(tmp_path / "log").state == "armed"


def test_a_lock_is_held_once_and_free_when_its_holder_is_dead(tmp_path):
    code = "import sys, pathlib; from wetloop.server.place import Lock; l = Lock(pathlib.Path(sys.argv[1]))"
    code += "; print(l.take(), flush=True); sys.stdin.read()"
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "True\n"
    assert not Lock(path).take()
    assert Lock(path).holder()["pid"] == holder.pid
    holder.kill()
    holder.communicate()
    lock = Lock(path)
    assert lock.take()
    lock.let_go()


def test_a_second_server_is_refused_by_name(tmp_path):
    lock = server_lock(tmp_path, "dish")
    with pytest.raises(RigError, match="rig dish already has a server"):
        server_lock(tmp_path, "dish")
    lock.let_go()
    server_lock(tmp_path, "dish").let_go()


def test_a_rig_is_named_by_the_lab_or_by_its_source(tmp_path):
    named = parse_config("rig: {name: dish 3/left}", "x")
    one, other = parse_config("seed: 2", "x"), parse_config("source: {cells: 777}", "x")
    assert rig_name(named) == "dish-3-left"
    assert rig_name(one) == rig_name(parse_config("duration: 3", "x")) != rig_name(other)
    assert rig_folder("dish", tmp_path).stat().st_mode & 0o077 == 0


def test_keys_are_for_their_owner_only_and_never_overwritten(tmp_path):
    files = new_keys(tmp_path / "keys")
    assert {file.name for file in files} == {f"{n}.{e}" for n in PAIRS for e in ("public", "secret")}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert key_pair(tmp_path / "keys", "view").public == public_key(tmp_path / "keys", "view")
    with pytest.raises(ConfigError, match="never overwritten"):
        new_keys(tmp_path / "keys")


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    new_keys(tmp_path)
    (tmp_path / "control.secret").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        key_pair(tmp_path, "control")
    (tmp_path / "view.public").write_text("x")
    with pytest.raises(ConfigError, match="holds no key"):
        public_key(tmp_path, "view")


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:1", "tcp://*:1", "tcp://10.0.0.1:1", "tcp://lab:1", "tcp://[::]:1"])
def test_only_keys_lead_beyond_this_machine(address):
    with pytest.raises(ConfigError, match="--keys"):
        require_safe(address, keys=False)
    require_safe(address, keys=True)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://127.9.9.9:0", "tcp://[::1]:5601"])
def test_this_machine_needs_no_keys(address):
    require_safe(address, keys=False)


@pytest.mark.parametrize("address", ["", "127.0.0.1:1", "udp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://a:b:1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="is no address"):
        require_safe(address, keys=True)


def test_the_client_is_found_at_the_top():
    assert wetloop.Client.__module__ == "wetloop.server.client"
    with pytest.raises(AttributeError, match="Clinet"):
        _ = wetloop.Clinet
