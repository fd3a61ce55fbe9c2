"""Telemetry of a real session: every message is of its model, and a slow listener holds nobody up."""

import itertools
import json

import pytest
import served_rig
import zmq

from wetloop.server.telemetry import LATEST, TOPICS
from wetloop.server.topics import MODELS

RIG = """
source: {kind: culture, cells: 1000, settle_s: 0}
duration: 1h
watch: {storm: {above_hz: 1, after_s: 1}}
recording: {folder: FOLDER}
"""
ENOUGH = 5


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """Serve one rig, with a session that plays."""
    served = served_rig.ServedRig(tmp_path_factory.mktemp("rig"), "--arm", rig=RIG)
    served.client.start(why="telemetry")
    served.until("running")
    yield served
    served.clean_up()


@pytest.fixture(scope="module")
def told(rig):
    """Listen to every topic until each has told something."""
    messages = {topic: [] for topic in TOPICS}
    for topic, content in rig.client.listen():
        messages[topic].append(content)
        enough = all(len(messages[name]) >= (1 if name in LATEST else ENOUGH) for name in TOPICS)
        if enough and messages["alarms"][-1]["count"]:
            return messages
    raise AssertionError


def test_every_topic_has_a_model_and_every_message_is_of_it(told):
    assert set(MODELS) == set(TOPICS)
    for topic, contents in told.items():
        for content in contents:
            model = MODELS[topic].model_validate_json(json.dumps(content), strict=True)
            assert json.loads(model.model_dump_json()) == content


def test_numbers_count_up_by_one_and_rows_go_on_where_they_ended(told):
    for contents in told.values():
        numbers = [content["seq"] for content in contents]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    decisions = [index for content in told["decisions"] for index in content["index"]]
    assert decisions == list(range(decisions[0], decisions[0] + len(decisions)))
    for before, after in itertools.pairwise(told["rates"]):
        assert before["stop_sample"] == after["start_sample"]
        assert len(after["rates_hz"]) == 64
    for name in ("spikes", "pulses", "decisions"):
        columns = told[name][-1]
        lengths = {len(column) for column in columns.values() if isinstance(column, list)}
        assert len(lengths) == 1


def test_a_latest_value_is_told_again_to_whoever_comes_later(rig, told):
    topic, content = next(rig.client.listen("state"))
    assert (topic, content) == ("state", told["state"][-1])
    topic, content = next(rig.client.listen("health"))
    assert content["seq"] >= told["health"][-1]["seq"]


def test_alarms_are_told_and_stand_in_the_status(rig, told):
    alarms = told["alarms"][-1]
    assert (alarms["active"], alarms["count"]) == (["storm"], 1)
    (entry,) = alarms["recent"]
    assert (entry["watch"], entry["state"], entry["policy"], entry["unit"]) == ("storm", "raised", "continue", "Hz")
    assert entry["value"] > entry["limit"] == 1
    assert rig.client.status()["session"]["alarms"] == ["storm"]


def test_a_listener_that_never_reads_holds_nobody_up(rig):
    context = zmq.Context()
    slow = context.socket(zmq.SUB)
    slow.set(zmq.RCVHWM, 1)
    slow.set(zmq.RCVBUF, 2048)
    slow.subscribe("")
    slow.connect(rig.info["telemetry"])
    quick = rig.client.listen("decisions")
    first = next(quick)[1]["seq"]
    for _, content in itertools.islice(quick, 40):
        first += 1
        assert content["seq"] == first
    assert rig.client.status()["state"] == "running"
    context.destroy(linger=0)
