"""The protocols of papers can be planned, and what the docs tell of those that were played is what came of them."""

from pathlib import Path

import pytest
import yaml

from wetloop.coding import agent
from wetloop.experiments import load
from wetloop.experiments.plan import made_from
from wetloop.experiments.protocol import Protocol
from wetloop.experiments.statistics import compare

FILES = sorted((Path(__file__).parents[2] / "configs" / "papers").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_paper_can_be_planned_with_its_control(path, tmp_path, monkeypatch):
    monkeypatch.setattr(agent, "EXTRA", "numpy")  # a plan asks only whether the learners' library is there
    told = yaml.safe_load(path.read_text())
    session, arms = str((path.parent / told["session"]).resolve()), dict(told["arms"])
    if "replay" in arms:
        arms["replay"] = str((path.parent / arms["replay"]).resolve())
    few = tmp_path / path.name
    few.write_text(yaml.safe_dump(told | {"session": session, "arms": arms, "cultures": {"seeds": 2}}))
    plan, key = made_from(few)
    protocol = Protocol.model_validate(plan["protocol"])
    assert {protocol.arms.reference, protocol.arms.control} <= set(key.values())
    assert {each.arm for each in protocol.published} <= set(key.values())
    assert len(plan["runs"]) == 2 * len(key)
    assert plan["protocol"]["name"] == path.stem


def test_there_are_papers():
    assert FILES


@pytest.mark.parametrize(
    ("name", "p", "cultures"),
    [
        ("organoid_cartpole", "0.82", 30),
        ("dishbrain", "0.002", 40),
        ("bakkum", "0.31", 8),
        ("shahaf_marom", "0.976", 20),
    ],
)
def test_what_the_docs_tell_of_a_paper_is_what_its_runs_say(name, p, cultures):
    docs = Path(__file__).parents[2] / "docs"
    experiment = load(docs / "papers" / name)
    claim = next(each for each in compare(experiment).contrasts if each.claim)
    assert experiment.deviations == []
    assert f"p = {p}" in (docs / "claims.md").read_text(encoding="utf-8")
    assert f"{claim.interaction.p:.{len(p) - 2}f}" == p
    assert claim.interaction.n == cultures
