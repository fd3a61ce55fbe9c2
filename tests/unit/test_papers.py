from pathlib import Path

import pytest
import yaml

from wetloop.coding import agent
from wetloop.experiments.plan import made_from
from wetloop.experiments.protocol import Protocol

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
