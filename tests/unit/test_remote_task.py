"""A program that is the task: only its answer to the request under way counts, whatever else it says."""

import json
from collections import Counter
from contextlib import suppress

import gymnasium
import numpy as np
import pytest
import zmq
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from wetloop.core.errors import ConfigError, TaskError
from wetloop.core.types import Answer as Kind
from wetloop.net import messages
from wetloop.net.messages import (
    MAX_BYTES,
    Answer,
    BadMessageError,
    BoxActions,
    DiscreteActions,
    Hello,
    Refusal,
    Reset,
    Step,
    Welcome,
    message_bytes,
    read_asked,
    read_told,
)
from wetloop.tasks.isolation import IsolatedTask, restarted_seed
from wetloop.tasks.remote import RemoteLink
from wetloop.tasks.remote_config import RemoteTaskConfig
from wetloop.tasks.runner import TaskRunner
from wetloop.tasks.served import TaskFacts, TaskPlayer
from wetloop.tasks.worker import LinkWorker, Origin, Patience

FRESH, REUSED, RESTARTED = Kind
SHORT = Patience(0.001, 60.0)
HASTY = Patience(0.001, 0.002)
WELCOME = Welcome(
    actions=BoxActions(low=(-1.0,), high=(1.0,)), observation_names=("x", "y"), events=("hit", "hurt"),
    magnitudes=("hurt",), picture=(2, 3),
)  # fmt: skip
PICTURE = bytes(range(6))


class Program:
    """The far end of a task, as the test wants it."""

    def __init__(self):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind("tcp://127.0.0.1:*")
        self.address = self._socket.get_string(zmq.LAST_ENDPOINT)
        self.welcome = WELCOME

    def hear(self):
        """Return the next message."""
        assert self._socket.poll(30_000)
        self.connection, data = self._socket.recv_multipart()
        return read_asked(data)

    def say(self, *frames):
        """Send to whom was heard last."""
        first = frames[0] if isinstance(frames[0], bytes) else message_bytes(frames[0])
        self._socket.send_multipart([self.connection, first, *frames[1:]])

    def answer(self, seq, x=0.0, *more, **named):
        """Send an answer."""
        self.say(Answer(seq=seq, observation=(x, 0.5), **named), *(more or (PICTURE,)))

    def greet(self):
        """Answer a hello."""
        while not isinstance(self.hear(), Hello):
            continue
        self.say(self.welcome)

    def close(self):
        self._context.destroy(linger=0)


@pytest.fixture
def program():
    made = Program()
    yield made
    made.close()


@pytest.fixture
def task(program):
    """Play a task over links to the program, which greets as many of them as it is told."""
    links = []

    def play(patience=SHORT, greetings=1, **settings):
        config = configured(program.address, **settings)
        refused, left = Counter(), [greetings]

        def begin():
            links.append(RemoteLink(config, Hello(session="s", decision_ms=10.0), 1.0, refused))
            if left[0]:
                program.greet()
                left[0] -= 1
            return links[-1]

        return IsolatedTask(LinkWorker(Origin("task remote", begin, 5.0 if greetings else 0.01), patience, refused))

    yield play
    for link in links:
        link.kill()


def configured(address="tcp://127.0.0.1:5570", **settings):
    return RemoteTaskConfig.model_validate(
        {"address": address, "events": ("hurt", "hit", "fall"), "magnitudes": ("hurt",)} | settings
    )


def begun(env, program):
    """Reset; the answer is late, but told at the next step."""
    assert env.reset(seed=3)[1]["answer"] == REUSED
    asked = program.hear()
    assert (asked.type, asked.seq, asked.seed) == ("reset", 1, 3)
    return asked.seq


def settled(env, k=200):
    """Step until a fresh answer comes; return it."""
    for _ in range(k):
        told = env.step(np.zeros(1))
        if told[4].get("answer", FRESH) == FRESH:
            return told
    raise AssertionError


def test_a_late_answer_is_told_at_the_next_decision_and_nothing_is_asked_meanwhile(task, program):
    env = task()
    seq = begun(env, program)
    observation, *_, info = env.step(np.ones(1))
    assert (info["answer"], observation.tolist()) == (REUSED, [0, 0, 0])
    program.answer(seq, 7.0, events=("hit", "hurt"), magnitudes={"hurt": 2.5}, reward=1.5)
    observation, reward, *_, info = settled(env)
    assert observation.tolist() == [7.0, 0.5, 2.5]
    assert (reward, info["events"], info["magnitudes"]) == (1.5, ("hurt", "hit"), {"hurt": 2.5})
    env.step(np.full(1, 0.25))
    asked = program.hear()
    assert (asked.type, asked.seq, asked.action, asked.deadline_ms) == ("step", 2, (0.25,), 1.0)
    assert env.observation_names == ("x", "y", "hurt magnitude")


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        ("malformed", [b"{"]),
        ("malformed", [b"\xff\xfe"]),
        ("malformed", [b'{"type":"answer","seq":1,"observation":[NaN,0.5]}']),
        ("malformed", [b'{"type":"answer","seq":1,"observation":["0",0.5]}']),
        ("oversized", [b" " * (MAX_BYTES + 1)]),
        ("out of order", [Answer(seq=2, observation=(1.0, 1.0)), PICTURE]),
        ("out of order", [WELCOME]),
        ("out of order", [Refusal(seq=9, kind="failed", message="of another time")]),
        ("invalid", [Answer(seq=1, observation=(1.0,)), PICTURE]),
        ("invalid", [Answer(seq=1, observation=(1.0, 1.0), events=("fall",)), PICTURE]),
        ("invalid", [Answer(seq=1, observation=(1.0, 1.0), magnitudes={"hit": 1.0}), PICTURE]),
        ("invalid", [Answer(seq=1, observation=(1.0, 1.0))]),
        ("invalid", [Answer(seq=1, observation=(1.0, 1.0)), PICTURE[1:]]),
        ("invalid", [Answer(seq=1, observation=(1.0, 1.0)), PICTURE, PICTURE]),
    ],
)
def test_what_cannot_be_used_is_counted_by_kind_and_changes_nothing(kind, frames, task, program):
    env = task()
    seq = begun(env, program)
    program.say(*frames)
    while not env.refused:
        observation, *_, info = env.step(np.ones(1))
        assert (info["answer"], observation.tolist()) == (REUSED, [0, 0, 0])
    assert dict(env.refused) == {kind: 1}
    program.answer(seq, 7.0)
    assert settled(env)[0].tolist() == [7.0, 0.5, 0.0]
    assert dict(env.refused) == {kind: 1}


def test_an_answer_counts_once(task, program):
    env = task()
    seq = begun(env, program)
    program.answer(seq, 7.0)
    assert settled(env)[0][0] == 7.0
    env.step(np.ones(1))
    step = program.hear()
    program.answer(seq, 8.0)
    program.answer(step.seq, 9.0)
    assert settled(env)[0][0] == 9.0
    assert dict(env.refused) == {"duplicate": 1}
    runner = TaskRunner(env, seed=1)
    assert runner.answers == {"reused": 0, "restarted": 0, "duplicate": 1}


def until_restarted(env, k=1000):
    """Go on until the task is begun anew; return what is told then."""
    told = env.reset(seed=3)
    while told[-1]["answer"] != RESTARTED and k:
        told, k = env.step(np.ones(1)), k - 1
    assert told[-1]["answer"] == RESTARTED
    return told


def test_after_a_long_silence_the_program_is_met_again_and_begins_anew(task, program):
    env = task(HASTY, greetings=2)
    first = program.connection
    until_restarted(env)
    assert program.connection != first
    env.reset()
    asked = program.hear()
    assert (asked.type, asked.seed) == ("reset", restarted_seed(3, 1))
    assert asked.seq > 1


def test_a_program_that_stays_away_is_given_up_by_name(task, program):
    program.welcome = Refusal(kind="busy", message="another session plays")
    with pytest.raises(TaskError, match=r"task remote: the program refuses \(busy\): another session plays"):
        task()
    program.welcome = WELCOME
    with pytest.raises(TaskError, match=r"did not start within 0\.01 s"):
        task(greetings=0)


def test_a_lost_program_ends_the_session_after_three_attempts(task, program):
    env = task(HASTY)
    until_restarted(env)

    def go_on():
        while True:
            program.hear()
            program.say(Refusal(kind="stranger", message="say hello first"))
            env.step(np.ones(1))

    with pytest.raises(TaskError, match="after 3 attempts: the program refuses"):
        go_on()


def test_what_a_program_declares_must_be_configured(task, program):
    with pytest.raises(ConfigError, match=r"the program tells 'hit', which task\.events does not name"):
        task(events=("hurt",))
    with pytest.raises(ConfigError, match=r"'hurt', which task\.magnitudes does not name"):
        task(magnitudes=())
    program.welcome = WELCOME.model_copy(update={"version": 2})
    with pytest.raises(TaskError, match="version 1 is spoken here, not 2"):
        task()


def test_the_picture_is_for_people_and_comes_with_the_answer(task, program):
    env = task()
    assert env.frame_shape == ()
    seq = begun(env, program)
    assert env.render() is None
    program.answer(seq)
    settled(env)
    assert env.render().tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"address": "tcp://10.0.0.1:5570"}, "can be reached by others: set task.keys"),
        ({"address": "10.0.0.1"}, "is no address"),
        ({"own_process": True}, "leave it out"),
        ({"events": ("a", "a"), "magnitudes": ()}, "each is named once"),
        ({"magnitudes": ("x",)}, "'x' is none of the events"),
    ],
)
def test_what_cannot_be_configured_says_why(settings, words):
    with pytest.raises(ValueError, match=words):
        configured(**settings)
    assert configured(address="tcp://10.0.0.1:1", keys="/keys").keys == "/keys"


class Counter3(gymnasium.Env):
    """Three discrete actions from 5 on; tells them back."""

    action_space = spaces.Discrete(3, start=5)
    observation_space = spaces.Box(0, 10, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        assert options is None
        return np.array([seed or 0, 0], np.float32), {}

    def step(self, action):
        if action == 7:
            raise ValueError("no seven")
        return np.array([0, action], np.float32), np.float32(1), False, False, {"events": ("hit", "hit")}


def said(player, message, connection=b"a"):
    """Return what a player answers."""
    data = message if isinstance(message, bytes) else message_bytes(message)
    answers = player.answers(connection, [data])
    return read_told(answers[0][0]) if answers else None


def test_an_environment_answers_one_session_at_a_time():
    player = TaskPlayer(Counter3(), TaskFacts(events=("hit",)))
    reset = Reset(seq=1, seed=4, deadline_ms=5.0)
    assert said(player, reset).kind == "stranger"
    welcome = said(player, Hello(session="one", decision_ms=10.0))
    assert (welcome.actions, welcome.events) == (DiscreteActions(n=3), ("hit",))
    assert said(player, Hello(session="two", decision_ms=10.0), b"b").kind == "busy"
    assert said(player, reset).observation == (4.0, 0.0)
    assert said(player, reset).kind == "out of order"
    assert said(player, b"{").kind == "malformed"
    assert said(player, b" " * (MAX_BYTES + 1)).kind == "oversized"
    assert said(player, json.dumps({"type": "hello", "version": 9}).encode()).kind == "version"
    told = said(player, Step(seq=2, action=1, deadline_ms=5.0))
    assert (told.observation, told.reward, told.events) == ((0.0, 6.0), 1.0, ("hit",))
    assert said(player, Hello(session="one", decision_ms=10.0), b"c") == welcome
    assert said(player, Step(seq=3, action=0, deadline_ms=5.0)).kind == "stranger"
    player.raise_failure()
    assert said(player, Step(seq=3, action=2, deadline_ms=5.0), b"c").message == "ValueError: no seven"
    with pytest.raises(ValueError, match="no seven"):
        player.raise_failure()
    said(player, messages.Bye(), b"c")
    assert said(player, Hello(session="two", decision_ms=10.0), b"b") == welcome


@pytest.mark.parametrize("action", [3, -1, (0.5,)])
def test_an_action_that_is_none_is_refused(action):
    player = TaskPlayer(Counter3(), TaskFacts())
    said(player, Hello(session="one", decision_ms=10.0))
    assert said(player, Step(seq=1, action=action, deadline_ms=5.0)).kind == "failed"


words = st.sampled_from(["", "hit", "x" * 70, "\ud800", "low", "high", "n"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=10,
)
fields = ["type", "version", "seq", "observation", "events", "picture", "actions", "session", "seed", "action"]
objects = st.dictionaries(st.sampled_from(fields), json_values).map(json.dumps)
typed = st.tuples(st.sampled_from(["hello", "reset", "step", "bye", "welcome", "answer", "refusal"]), objects)


@given(
    st.binary(max_size=200)
    | objects.map(str.encode)
    | typed.map(lambda x: json.dumps(json.loads(x[1]) | {"type": x[0]}).encode())
)
def test_any_bytes_are_a_message_or_none(data):
    for read in (read_asked, read_told):
        message = None
        with suppress(BadMessageError):
            message = read(data)
        assert message is None or read(message_bytes(message)) == message
