"""What the docs tell of the registered experiments on learning is what their runs say."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

DOCS = Path(__file__).parents[2] / "docs"
RECORDS = DOCS / "learning", DOCS / "learning/first-rule", DOCS / "learning/inverted"


def runs_of(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def scores(folder, layout, arm):
    rows = sorted((row["seed"], row["t2"]) for row in runs_of(folder) if (row["layout"], row["arm"]) == (layout, arm))
    return np.log1p([t2 for _, t2 in rows])


def effect(x, y):
    return (x.mean() - y.mean()) / np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 2)


@pytest.mark.parametrize("folder", RECORDS, ids=["this rule", "first rule", "inverted"])
def test_every_run_belongs_to_the_protocol_and_none_is_missing(folder):
    text = (folder / "protocol.json").read_bytes()
    plan, runs = json.loads(text), runs_of(folder)
    assert {row["protocol"] for row in runs} == {hashlib.sha256(text).hexdigest()}
    planned = {(layout, arm) for layout in plan["layouts"] for arm in (*plan["arms"], "pre-test")}
    told = [(row["layout"], row["arm"], row["seed"]) for row in runs if (row["layout"], row["arm"]) in planned]
    assert sorted(told) == sorted((*which, seed) for which in planned for seed in plan["seeds"])


@pytest.mark.parametrize("layout", ["8x8", "maxone-like"])
@pytest.mark.parametrize("control", ["yoked", "off", "silent", "no_feedback", "noise"])
def test_effects_in_the_docs_are_those_of_the_runs(layout, control):
    told = (DOCS / "culture.md").read_text(encoding="utf-8")
    x, y = scores(RECORDS[0], layout, "stimulus"), scores(RECORDS[0], layout, control)
    column = {"8x8": 2, "maxone-like": 4}[layout]
    (line,) = (line for line in told.splitlines() if line.startswith(f"| `{control}` |") and line.count("|") == 6)
    assert line.split("|")[column].strip() == f"{effect(x, y):.2f}"
    assert f"| {y.mean():.3f} ({y.std(ddof=1):.3f}) |" in told
    assert 20 * mannwhitneyu(x, y).pvalue < 0.01


def test_the_first_rule_is_told_to_have_shown_nothing():
    told = (DOCS / "culture.md").read_text(encoding="utf-8")
    x, y = scores(RECORDS[1], "8x8", "stimulus"), scores(RECORDS[1], "8x8", "yoked")
    assert f"d {effect(x, y):.2f} against `yoked` (Holm 0.11): **not shown**" in told


def test_exchanged_answers_are_told_as_they_came_out():
    told = (DOCS / "culture.md").read_text(encoding="utf-8")
    x, y = scores(RECORDS[2], "8x8", "inverted"), scores(RECORDS[2], "8x8", "off")
    assert f"{x.mean():.3f} ({x.std(ddof=1):.3f}) against {y.mean():.3f} ({y.std(ddof=1):.3f})" in told
    assert f"d {effect(x, y):.2f}" in told
