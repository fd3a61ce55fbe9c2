"""What an agent is shown of Pong, what its actions do, and which agents are refused."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from wetloop import assembly
from wetloop.agents.court import Court, Decisions
from wetloop.agents.learners import play_at_random
from wetloop.agents.views import view_of
from wetloop.coding import agent as agents
from wetloop.coding.agent import AgentConfig, ByAgentConfig
from wetloop.conditions import applied
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.types import Tick
from wetloop.tasks.config import ChemotaxisConfig, PongConfig

DECISION = 250
REST_S = 0.2


class Rig:
    """A rig that counts decisions and never spikes; ``stop`` ends it."""

    holding = False

    def ticks(self, n, stop):
        for k in range(n):
            if stop.is_set():
                return
            yield Tick(k, k * DECISION, (k + 1) * DECISION, (k + 2) * DECISION)

    def spikes(self, tick):
        return tick

    def submit(self, program, tick):
        assert program == ()
        return tick.decision_index


class Log:
    def __init__(self):
        self.rows = []

    def decision(self, tick, _batch, action, outcome, _serial):
        self.rows.append((tick, action.copy(), outcome))


@pytest.fixture
def court():
    """Return a court of so many decisions, the log of its session, its task, and the event that stops it."""

    def make(n_decisions, sees="paddle_and_ball", *settings):
        given = [
            "condition=agent",
            "task.crossing_s=0.3",
            f"feedback.rest_s={REST_S}",
            "feedback.random.duration_s=0.1",
        ]
        setting = assembly.describe(parse_config("", "test", [*given, *settings]))[0]
        players, log, stop = assembly.players(setting), Log(), threading.Event()
        view = view_of(sees, players.task, 10)
        return SimpleNamespace(
            env=Court(Decisions(Rig(), players, log, n_decisions, stop), view), rows=log.rows, stop=stop,
            task=players.task,
        )  # fmt: skip

    return make


def test_a_step_is_a_decision_and_moves_the_paddle_as_the_action_says(court):
    made = court(10)
    made.env.reset()
    for action in (2, 2, 1, 0):
        made.env.step(action)
    paddle = [outcome.observation[4] for _, _, outcome in made.rows]
    assert np.diff(paddle) == pytest.approx([0.012, 0.012, 0, -0.012], abs=1e-6)
    assert [float(action[0]) for _, action, _ in made.rows] == [0, 1, 1, 0, -1]


def test_a_rally_is_an_episode_and_pauses_go_by_without_the_agent(court):
    made = court(2000)
    made.env.reset()
    rewards, steps, n_rallies = [], 0, 0
    while not made.env.over:
        _, reward, terminated, truncated, _ = made.env.step(0)
        rewards.append(reward)
        steps += 1
        if terminated:
            n_rallies += 1
            assert reward == -1
            made.env.reset()
    outcomes = [outcome for _, _, outcome in made.rows]
    events = [event for outcome in outcomes for event in outcome.events]
    assert n_rallies == events.count("miss") > 10
    assert rewards.count(1) == events.count("hit")
    held = [action[0] for _, action, outcome in made.rows if not outcome.playing]
    assert len(held) == pytest.approx(n_rallies * (REST_S + 0.1) * 100, abs=40)
    assert not any(held)
    assert steps == sum(outcome.playing for outcome in outcomes) - events.count("serve")
    assert truncated or terminated


def test_a_session_that_is_over_changes_nothing_any_more(court):
    made = court(5)
    made.env.reset()
    last = [made.env.step(1) for _ in range(4)][-1]
    assert (last[3], made.env.over) == (True, True)
    seen, reward, terminated, truncated, _ = made.env.step(2)
    assert (reward, terminated, truncated, len(made.rows)) == (0, False, True, 5)
    assert np.array_equal(seen, last[0])
    assert np.array_equal(made.env.reset()[0], last[0])


def test_an_agent_ends_with_its_session_also_when_it_is_stopped(court):
    made = court(1000)
    made.stop.set()
    play_at_random(made.env, 1000, np.random.default_rng(1))
    assert (made.env.over, made.rows) == (True, [])
    made = court(300)
    play_at_random(made.env, 300, np.random.default_rng(1))
    assert len(made.rows) == 300
    assert {float(action[0]) for _, action, _ in made.rows} == {-1, 0, 1}


def test_what_is_shown_tells_of_ball_and_paddle_what_it_says(court):
    everything, as_a_culture = court(50), court(50, "ball")
    for made in (everything, as_a_culture):
        made.env.reset()
        for _ in range(20):
            seen = made.env.step(2)[0]
            assert made.env.observation_space.contains(seen)
        made.seen = seen
        made.truth = made.rows[-1][2].observation
    x, y, vx, vy, paddle = everything.truth
    assert everything.seen == pytest.approx([2 * x - 1, 2 * y - 1, vx, vy, 2 * paddle - 1], abs=1e-6)
    assert as_a_culture.seen == pytest.approx([2 * x - 1, y - paddle], abs=1e-6)


def test_pictures_are_of_now_and_of_a_tenth_of_a_second_ago(court):
    made = court(60, "image")
    first = made.env.reset()[0]
    assert np.array_equal(first[0], first[1])
    shown = [made.env.step(2)[0] for _ in range(15)]
    assert all(made.env.observation_space.contains(seen) for seen in shown)
    assert np.array_equal(shown[14][1], shown[4][0])
    assert not np.array_equal(shown[14][1], shown[14][0])
    brightest = np.unravel_index(shown[14][0][:, 3:].argmax(), (40, 37))
    x, y = made.rows[-1][2].observation[:2]
    assert brightest[1] + 3 == pytest.approx(40 * (5 + 112 * x) / 120, abs=1.5)
    assert brightest[0] == pytest.approx(40 * (2 + 86 * (1 - y)) / 90, abs=1.5)


def test_the_condition_leaves_task_and_pauses_as_they_are_and_stimulates_nothing():
    config = parse_config(
        "", "test", ["condition=agent", "feedback.rest_s=3", "task.paddle=0.4", "watch.silent.after_s=5"]
    )
    played = applied(config)
    assert played.task == config.task
    assert played.feedback.rest_s == 3
    assert (played.feedback.kind, played.encoder.kind, played.source.kind) == ("silent", "none", "poisson")
    assert played.watch.silent.at_most_hz < 0
    assert len(assembly.describe(config)[0].table) == 0


def test_agents_that_cannot_play_are_refused_with_what_to_do(monkeypatch):
    pong = PongConfig()
    monkeypatch.setattr(agents, "EXTRA", "no_such_library")
    ByAgentConfig(agent=AgentConfig()).admit(pong)
    with pytest.raises(ConfigError, match=r"pip install 'wetloop\[agents\]'"):
        ByAgentConfig(agent=AgentConfig(kind="dqn")).admit(pong)
    with pytest.raises(ConfigError, match="known of Pong alone, not of task chemotaxis"):
        ByAgentConfig(agent=AgentConfig()).admit(ChemotaxisConfig())
    with pytest.raises(ConfigError, match=r"agent\.kind"):
        parse_config("", "test", ["condition=agent", "agent.kind=sarsa"])
