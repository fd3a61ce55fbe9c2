"""The queue of a server outlives it, and waits for a person."""

import pytest

from wetloop.config import parse_config, to_json
from wetloop.server.handle import Task
from wetloop.server.player import read_json, replace_json
from wetloop.server.protocol import Play
from wetloop.server.queue import Queue


def entry(seed):
    play = Play(overrides=(f"seed={seed}",), why=f"number {seed}")
    return play, Task(parse_config(f"seed: {seed}", "x"), "ann", play.why)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.json"


def test_the_next_server_finds_the_queue_and_holds_it(path):
    queue = Queue(path)
    for seed in (1, 2, 3):
        queue.add(*entry(seed))
    assert not queue.held
    assert queue.pop().config.seed == 1
    again = Queue(path)
    assert again.held
    assert again.to_dict() == {**queue.to_dict(), "held": True}
    task = again.pop()
    assert (to_json(task.config), task.who, task.why) == (to_json(entry(2)[1].config), "ann", "number 2")


def test_an_empty_queue_is_not_held(path):
    assert not Queue(path).held
    queue = Queue(path)
    queue.add(*entry(1))
    queue.clear()
    assert Queue(path).to_dict() == {"queue": [], "held": False}


def test_what_cannot_be_read_is_left_out(path):
    queue = Queue(path)
    queue.add(*entry(1))
    queue.add(*entry(2))
    rows = read_json(path)["queue"]
    rows[0]["config"] = "{"
    replace_json(path, {"queue": [*rows, {"who": "x"}, 3]})
    assert [row["why"] for row in Queue(path).to_dict()["queue"]] == ["number 2"]
    path.write_text("{")
    assert len(Queue(path)) == 0
