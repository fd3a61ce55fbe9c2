"""The lines of a StimJim: what is stored is what is printed, and reports are counted in any pieces."""

from hypothesis import given
from hypothesis import strategies as st

from wetloop_drivers import stimjim_wire as wire

AMPLITUDES, TIMES = st.integers(-3330, 3330), st.integers(1, 4_000_000)
STAGES = st.lists(st.builds(wire.Stage, AMPLITUDES, AMPLITUDES, TIMES), max_size=wire.MAX_STAGES).map(tuple)
MODES = st.tuples(st.integers(0, 3), st.integers(0, 3))
TRAINS = st.builds(wire.Train, MODES, TIMES, TIMES, STAGES)
EXAMPLE = wire.Train((1, 3), 2000, 1900, (wire.Stage(5, 0, 200), wire.Stage(-5, 0, 200)))


@given(st.integers(0, 99), TRAINS)
def test_a_train_survives_storing_and_printing(number, train):
    assert wire.decode_set(wire.encode_set(number, train).decode().removesuffix("\n")) == (number, train)
    lines = wire.encode_dump(number, train).decode().split("\r\n")
    assert wire.decode_dump(lines) == (number, train)
    is_end = wire.IsDumpEnd()
    assert [line for line in lines if is_end(line)] == lines[lines.index(wire.RULE, 1) :]


def test_lines_are_those_of_the_manual():
    assert wire.encode_set(3, EXAMPLE) == b"S3,1,3,2000,1900; 5,0,200; -5,0,200\n"
    assert wire.decode_set("S0,0,1,2000,1000000; 100,0,150; -100,-100,200") == (
        0,
        wire.Train((0, 1), 2000, 1_000_000, (wire.Stage(100, 0, 150), wire.Stage(-100, -100, 200))),
    )
    assert wire.decode_set("S42") == (42, None)
    assert b"mode[ch0]: 1 (Current output)\r\n" in wire.encode_dump(3, EXAMPLE)
    assert b"period:    2000 usec (0.002 sec, 500.000 Hz)\r\n" in wire.encode_dump(3, EXAMPLE)


@given(st.integers(0, 300), st.integers(0, 5))
def test_a_truncated_dump_is_none_or_lacks_its_last_stages(cut, number):
    told = wire.decode_dump(wire.encode_dump(number, EXAMPLE).decode()[:cut].split("\r\n"))
    if told is not None:
        assert told[0] == number
        assert told[1].stages == EXAMPLE.stages[: len(told[1].stages)]


@given(st.text(max_size=200))
def test_any_text_is_taken(text):
    wire.decode_set(text)
    wire.decode_dump(text.split("\n"))
    reports = wire.Reports().after(text)
    assert reports.delivered >= reports.completed - reports.empty


def test_reports_are_counted():
    said = "\r\nStarted T train with parameters of PulseTrain 7\r\n" + wire.encode_summary(1, EXAMPLE).decode()
    reports = wire.Reports().after(said).after(said).after(wire.encode_summary(0, EXAMPLE).decode())
    assert reports == wire.Reports(started=2, completed=3, delivered=2, empty=1)
