"""What ``wetloop culture describe`` prints, and how plasticity is written in a configuration."""

import json

import pytest

from wetloop.analysis.real_cultures import CORTEX_DIV_21
from wetloop.cli.main import main
from wetloop.config import from_json, load_config, parse_config, to_json
from wetloop.culture.plasticity_config import OffConfig

PONG = "configs/pong.yaml"
SMALL = ["--seconds", "10", "--set", "source.cells=200", "--set", "source.settle_s=1"]


def test_describe_gives_six_statistics_with_their_verdict(capsys):
    assert main(["culture", "describe", PONG, "--json", "--cultures", "2", *SMALL]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["at_rest"].keys() == CORTEX_DIV_21.keys()
    assert found["passed"] == sum(row["inside"] for row in found["at_rest"].values())
    assert found["cultures"] == 2
    assert found["memory_mb"] > 0


def test_describe_draws_a_picture_and_prints_a_table(capsys, tmp_path):
    picture = tmp_path / "culture.png"
    assert main(["culture", "describe", PONG, "--figure", str(picture), *SMALL]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "network bursts per min" in shown
    assert str(picture) in shown.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([PONG, *SMALL, "--figure", "picture.xyz"], "cannot be written"),
        (["configs/pong_recorded.yaml"], "only the simulated culture"),
    ],
)
def test_describe_refuses_in_one_paragraph(arguments, message, capsys):
    assert main(["culture", "describe", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["off", '"off"', "{kind: off}", '{kind: "off"}'])
def test_off_is_read_as_a_person_writes_it(text):
    config = parse_config(f"source: {{kind: culture, plasticity: {text}}}\ntask: {{kind: pong}}\n", "here")
    assert config.source.plasticity == OffConfig()
    assert from_json(to_json(config)).source.plasticity == OffConfig()


def test_the_shipped_configuration_does_not_learn():
    assert load_config(PONG).source.plasticity == OffConfig()
