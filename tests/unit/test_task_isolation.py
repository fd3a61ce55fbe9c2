"""A task in a process of its own plays the same game; frozen, killed or slow, it never holds the session up."""

import itertools
import os
import select
import signal

import numpy as np
import pytest
from gymnasium import spaces

from wetloop.core.errors import ConfigError, TaskError
from wetloop.core.types import Answer, Tick
from wetloop.tasks.config import PongConfig
from wetloop.tasks.isolation import IsolatedTask, RecordedWorker, restarted_seed
from wetloop.tasks.runner import TaskRunner
from wetloop.tasks.worker import UNHURRIED, Patience, ProcessWorker

FRESH, REUSED, RESTARTED = Answer
CONFIG = PongConfig(paddle=0.1, crossing_s=0.2)
SHORT = Patience(0.02, 0.2)
MOST_DECISIONS = 2000


def make():
    return CONFIG.build(10.0)


def actions(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.uniform(-1, 1, 1).astype(np.float32) for _ in itertools.count())


def play(env, n, given):
    """Return everything that an environment answers to a reset and n actions, beginning episodes as they end."""
    told, over = [env.reset(seed=7)], False
    for action in itertools.islice(given, n):
        told.append(env.reset() if over else env.step(action))
        over = len(told[-1]) == 5 and (told[-1][2] or told[-1][3])
    return [[np.asarray(part).tolist() if not isinstance(part, dict) else part for part in answer] for answer in told]


@pytest.fixture
def isolated():
    """Start tasks in processes of their own; give task and worker."""
    workers = []

    def start(patience=SHORT, config=CONFIG):
        workers.append(ProcessWorker(config, 10.0, patience))
        return IsolatedTask(workers[-1]), workers[-1]

    yield start
    for worker in workers:
        worker.close()


def until(env, wanted, given):
    """Step until an answer is of this kind; return the answer and what came before."""
    before = []
    for action in itertools.islice(given, MOST_DECISIONS):
        answer = env.step(action)
        if answer[4].get("answer", FRESH) == wanted:
            return answer, before
        before.append(answer[4].get("answer", FRESH))
    raise AssertionError(f"never {wanted!r} but {set(before)}")


def wait_for_end(pid):
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([handle], [], [], 60)
    os.close(handle)
    assert ended


def test_a_process_plays_the_same_game(isolated):
    env, worker = isolated(UNHURRIED)
    bare = make()
    assert worker.pid != os.getpid()
    assert (env.action_names, env.observation_names) == (bare.action_names, bare.observation_names)
    assert (env.action_space, env.observation_space) == (bare.action_space, bare.observation_space)
    assert play(env, 300, actions()) == play(bare, 300, actions())
    np.testing.assert_array_equal(env.render(), bare.render())


def test_a_frozen_task_is_bridged_and_its_late_answer_told_once(isolated):
    env, worker = isolated(Patience(0.02, 60))
    twin = make()
    given = actions()
    last = play(env, 20, itertools.repeat(np.ones(1, np.float32)))[-1][0]
    play(twin, 20, itertools.repeat(np.ones(1, np.float32)))
    os.kill(worker.pid, signal.SIGSTOP)
    asked = next(given)
    for action in (asked, next(given), next(given)):
        observation, reward, terminated, truncated, info = env.step(action)
        assert info["answer"] == REUSED
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert observation.tolist() == last
    os.kill(worker.pid, signal.SIGCONT)
    answer, _ = until(env, FRESH, given)
    expected = twin.step(asked)
    np.testing.assert_array_equal(answer[0], expected[0])
    assert answer[1:] == expected[1:]
    action = next(given)
    np.testing.assert_array_equal(env.step(action)[0], twin.step(action)[0])


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_lost_task_is_begun_anew_with_a_seed_of_its_own(isolated, number):
    env, worker = isolated()
    given, lost = actions(), worker.pid
    play(env, 5, given)
    os.kill(lost, number)
    answer, before = until(env, RESTARTED, given)
    assert answer[3]
    assert set(before) <= ({REUSED} if number == signal.SIGSTOP else set())
    wait_for_end(lost)
    assert worker.pid != lost
    observation, info = env.reset()
    if info.get("answer") == REUSED:
        (observation, *_), _ = until(env, FRESH, given)
    np.testing.assert_array_equal(observation, make().reset(seed=restarted_seed(7, 1))[0])
    assert restarted_seed(7, 1) != restarted_seed(7, 2)


def test_a_replay_comes_late_and_begins_anew_where_the_session_did(isolated):
    env, worker = isolated()
    faults = {30: signal.SIGSTOP, 33: signal.SIGCONT, 60: signal.SIGKILL, 200: signal.SIGSTOP}
    live = TaskRunner(env, seed=3)
    told = []
    for k, action in enumerate(itertools.islice(actions(), 400)):
        if k in faults:
            os.kill(worker.pid, faults[k])
        told.append(live.step(action.astype(float), tick(k)))
    answers = [outcome.answer for outcome in told]
    assert {FRESH, REUSED, RESTARTED} == set(answers)
    assert live.answers == {"reused": answers.count(REUSED), "restarted": answers.count(RESTARTED)}
    again = TaskRunner(IsolatedTask(RecordedWorker(make, answers)), seed=3)
    for k, (outcome, action) in enumerate(zip(told, actions(), strict=False)):
        replayed = again.step(action.astype(float), tick(k))
        np.testing.assert_array_equal(replayed.observation, outcome.observation)
        assert replayed._replace(observation=None) == outcome._replace(observation=None)


def tick(k):
    return Tick(k, 250 * k, 250 * (k + 1), 250 * (k + 2))


def test_a_recorded_late_answer_is_that_of_the_action_that_was_sent():
    env, twin = IsolatedTask(RecordedWorker(make, [FRESH, REUSED, REUSED, FRESH, FRESH])), make()
    given = list(itertools.islice(actions(), 4))
    env.reset(seed=1), twin.reset(seed=1)
    answers = [env.step(action) for action in given]
    np.testing.assert_array_equal(answers[2][0], twin.step(given[0])[0])
    np.testing.assert_array_equal(answers[3][0], twin.step(given[3])[0])


def test_a_late_first_answer_is_bridged_with_zeros():
    env = IsolatedTask(RecordedWorker(make, [REUSED, FRESH]))
    observation, info = env.reset(seed=1)
    assert info["answer"] == REUSED
    assert observation.tolist() == [0, 0, 0, 0, 0]
    observation, *_, info = env.step(np.zeros(1, np.float32))
    assert info["events"] == ("serve",)
    np.testing.assert_array_equal(observation, make().reset(seed=1)[0])


def test_what_cannot_be_zero_is_bridged_with_always_the_same():
    def discrete():
        env = make()
        env.observation_space = spaces.Discrete(1000, start=5)
        return env

    first, again = (IsolatedTask(RecordedWorker(discrete, [REUSED])).reset(seed=1)[0] for _ in range(2))
    assert first == again
    assert 5 <= first < 1005


def test_a_task_that_cannot_start_says_why(isolated):
    with pytest.raises(ConfigError, match="task pong: decisions of 10 ms are too long"):
        isolated(config=PongConfig(crossing_s=0.001))


def test_a_task_that_dies_again_and_again_is_given_up(isolated):
    env, worker = isolated(UNHURRIED)
    env.reset(seed=1)

    def kill_again_and_again():
        for action in itertools.islice(actions(), 10):
            os.kill(worker.pid, signal.SIGKILL)
            env.step(action)

    with pytest.raises(TaskError, match="could not be started again after 3 attempts"):
        kill_again_and_again()


def test_a_closed_task_leaves_no_process(isolated):
    env, worker = isolated()
    os.kill(worker.pid, signal.SIGSTOP)
    env.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
    env.close()
