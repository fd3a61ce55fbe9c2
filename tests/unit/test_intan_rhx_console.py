"""The command port: replies without an end, complaints that come late, values that RHX changes in silence."""

import pytest

from wetloop.core.errors import RigError
from wetloop_drivers.emulators.tcp_ports import Port, Ports
from wetloop_drivers.intan_rhx_console import Console


@pytest.fixture
def talk():
    """Connect a console to a server that answers as the test says."""
    opened = []

    def connect(answer):
        port = Port("127.0.0.1", 0, answer, lasting=True)
        port.listen()
        ports = Ports([port])
        ports.open()
        console = Console("127.0.0.1", port.port)
        opened.extend((console, ports))
        return console

    yield connect
    for one in opened:
        one.close()


def test_a_value_is_what_follows_the_name(talk):
    assert talk(lambda _: b"Return: Version 3.4.0").get("version") == "3.4.0"


def test_a_complaint_in_place_of_a_value_is_raised(talk):
    with pytest.raises(RigError, match="Unrecognized parameter"):
        talk(lambda _: b"Unrecognized parameter").get("versoin")


def test_a_complaint_about_an_order_is_raised_at_its_end(talk):
    console = talk(lambda said: b"" if b"get" not in said else b"Unrecognized actionReturn: RunMode Stop")
    with pytest.raises(RigError, match="Unrecognized action"):
        console.order("execute nothing")


def test_a_complaint_about_a_trigger_is_raised_at_the_next_one(talk):
    console = talk(lambda _: b"board asleep")
    console.tell(b"execute something;")
    with pytest.raises(RigError, match="board asleep"):
        tell_on(console)


def tell_on(console):
    while True:
        console.tell(b"execute something;")


def test_commands_end_with_semicolons(talk):
    heard = []

    def answer(said):
        heard.append(said)
        return b"Return: RunMode Stop" if b"get" in said else b""

    talk(answer).order("set a 1", "set b 2")
    assert b"".join(heard) == b"set a 1;set b 2;get RunMode;"


def test_a_value_that_rhx_changed_is_an_error(talk):
    def answer(said):
        if b"get" not in said:
            return b""
        return b"Return: RunMode Stop" if said.endswith(b"RunMode;") else b"Return: Shape Triphasic"

    console = talk(answer)
    console.assign({"A-000.Shape": "triphasic"})
    with pytest.raises(RigError, match=r"told to set A-000\.Shape to Biphasic, but it says Triphasic"):
        console.assign({"A-000.Shape": "Biphasic"})


def test_a_closed_port_is_told(talk):
    console = talk(lambda _: b"Return: RunMode Stop")
    console.close()
    with pytest.raises(RigError, match="is lost"):
        console.get("RunMode")
