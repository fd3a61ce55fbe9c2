"""What a client may say: whatever bytes come, there is one typed answer and nothing else."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetloop.net import messages
from wetloop.server import protocol, topics
from wetloop.server.protocol import BODIES, MAX_BYTES, RefusalError, read_request, refusal_bytes

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {
        "version": st.just(1) | json_values,
        "id": st.integers(-2, 2**60) | json_values,
        "who": st.text(max_size=80) | json_values,
        "command": st.sampled_from([*BODIES]) | json_values,
        "body": st.dictionaries(st.sampled_from(["why", "config", "overrides", "x"]), json_values) | json_values,
    },
    optional={"more": json_values},
)


def message(**changes):
    return json.dumps({"version": 1, "id": 1, "who": "me", "command": "status", "body": {}} | changes).encode()


@given(st.binary(max_size=300) | requests.map(lambda x: json.dumps(x).encode()))
def test_any_bytes_are_a_request_or_one_refusal(data):
    refused = None
    try:
        request, body = read_request(data)
    except RefusalError as error:
        refused = error
    if refused is None:
        assert type(body) is BODIES[request.command]
        assert request.who.encode()
    else:
        reply = json.loads(refusal_bytes(refused))
        assert (reply["ok"], reply["error"]["kind"]) == (False, refused.kind)


@pytest.mark.parametrize(
    ("data", "kind", "number"),
    [
        (b"", "malformed", 0),
        (b"\xff\xfe", "malformed", 0),
        (b"[" * 60_000, "malformed", 0),
        (b"[1]", "malformed", 0),
        (b" " * (MAX_BYTES + 1), "oversized", 0),
        (message(version=2), "version", 1),
        (message(version=True), "version", 1),
        (message(command="reboot", id=7), "unknown", 7),
        (message(id=0), "malformed", 0),
        (message(id="1"), "malformed", 0),
        (message(id=2**60), "malformed", 0),
        (message(who=""), "malformed", 1),
        (message(extra=1), "malformed", 1),
        (message(body={"why": "x"}), "malformed", 1),
        (message(command="start", body={"overrides": "a=b"}), "malformed", 1),
        (b'{"version":1,"id":1,"who":"\\ud800","command":"status"}', "malformed", 0),
    ],
)
def test_refusals_have_their_kind_and_the_number_where_it_could_be_read(data, kind, number):
    with pytest.raises(RefusalError) as caught:
        read_request(data)
    assert (caught.value.kind, caught.value.number) == (kind, number)


def test_a_command_brings_its_body():
    request, body = read_request(message(command="start", body={"overrides": ["a=1"], "why": "pilot"}, id=3))
    assert (request.command, request.id, request.who) == ("start", 3, "me")
    assert (body.config, body.overrides, body.why) == (None, ("a=1",), "pilot")


@pytest.mark.parametrize(("module", "name"), [(protocol, "protocol"), (topics, "telemetry"), (messages, "remote")])
def test_the_schemas_in_the_package_are_the_present_ones(module, name):
    stored = json.loads(Path(module.__file__).with_name(f"{name}.schema.json").read_text())
    assert stored == json.loads(json.dumps(module.schema()))
