"""Reports on recordings of both formats and on what people may name their things."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wetloop.analysis.report import verdict
from wetloop.analysis.report.build import report_on, subject_of
from wetloop.analysis.report.style import write_files
from wetloop.analysis.report.write import html
from wetloop.cli.app import app
from wetloop.core.errors import ConfigError
from wetloop.experiments.runner import Workers, run_experiment
from wetloop.experiments.statistics import compare
from wetloop.kernels.records import DELIVERED
from wetloop.recording.dose import Ledger
from wetloop.recording.reader import Recording

SAMPLES = Path(__file__).parents[2] / "recordings"
HOSTILE = '<script>alert("1")</script> $\\frac{a}{b}$ & more'
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags close in order, and keeps what a browser would fetch or run."""

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.tags, self.ids, self.text = [], [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        links = [value for name, value in attrs if name in {"src", "href", "xlink:href", "data", "action"}]
        self.fetched += [link for link in links if not link.startswith(("#", "data:"))]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_csv(value):
    return "" if value is None else str(value)


@pytest.mark.parametrize("name", ["sample-culture.nwb", "sample-culture-v2.nwb"])
def test_page_of_a_sample_recording_stands_alone(name):
    report = report_on(subject_of([SAMPLES / name]))
    text = html(report)
    page = Page(text)
    assert page.fetched == []
    assert "://" not in text
    assert "url(#" in text
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert page.tags.count("figure") == 12
    with Recording(SAMPLES / name) as recording:
        assert report.sessions[0].headline.spikes == len(recording.spikes())
        assert report.sessions[0].headline.pulses_delivered == (recording.pulses()["fate"] == DELIVERED).sum()


def test_every_number_in_json_stands_in_csv_too(tmp_path, play):
    file = play("duration=25s").file
    options = ["--out", f"{tmp_path}/page.html", "--csv", f"{tmp_path}/csv", "--json"]
    done = CliRunner().invoke(app, ["report", str(file), *options], catch_exceptions=False)
    told = json.loads(done.stdout)
    numbers = told["sessions"][0]["numbers"]
    facts = {(row["figure"], row["name"]): row["value"] for row in rows_of(tmp_path / "csv/facts.csv")}
    n_tables = 0
    for figure, values in numbers.items():
        for name, value in values.items():
            if isinstance(value, dict):
                rows = rows_of(tmp_path / f"csv/{figure}-{name}.csv")
                assert [[as_csv(v) for v in value[column]] for column in value] == [
                    [row[column] for row in rows] for column in value
                ]
                n_tables += 1
            else:
                assert facts[figure, name] == as_csv(value)
    assert n_tables == 20
    assert sum(numbers["isi"]["histogram"]["intervals"]) == numbers["isi"]["intervals"]


def test_hostile_names_are_shown_as_they_are(tmp_path, play):
    file = Path(play("duration=12s", f"subject.notes={json.dumps(HOSTILE)}").file)
    renamed = file.rename(tmp_path / "<img src=x onerror=alert(1)> $a_b$.nwb")
    text = html(report_on(subject_of([renamed])))
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert HOSTILE in page.text
    assert renamed.name in page.text


def test_dose_and_rates_are_those_of_the_recording(play):
    file = Path(play("duration=25s").file)
    told = report_on(subject_of([file])).sessions[0].to_dict()["numbers"]
    with Recording(file) as recording:
        pulses, charge = recording.pulses(), recording.pulse_parameters()["charge_nc"]
        electrodes, counts = recording.pulse_electrodes(), np.bincount(recording.spikes()["channel_index"])
        used = np.flatnonzero(pulses["fate"] == DELIVERED)
        assert len(used) > 0
        assert sum(told["dose"]["electrodes"]["pulses"]) == sum(len(electrodes[k]) for k in used)
        total = sum(charge[k] * len(electrodes[k]) for k in used)
        assert sum(told["dose"]["electrodes"]["charge_nc"]) == pytest.approx(total, rel=1e-5)
    assert told["rates"]["electrodes"]["rate_hz"][: len(counts)] == pytest.approx((counts / 25).tolist())


def test_dose_over_the_life_of_a_culture_is_that_of_its_ledger(play, tmp_path):
    told = [f"care.ledger={tmp_path / 'ledger'}", "subject.culture_id=C12", "source.kind=poisson", "duration=2s"]
    file, _ = (Path(play(*told).file) for _ in range(2))
    report, life = report_on(subject_of([file])), Ledger(tmp_path / "ledger", "C12").dose()
    dose = report.sessions[0].to_dict()["numbers"]["dose"]
    assert (dose["lifetime_sessions"], dose["lifetime_pulses"]) == (2, life.pulses)
    assert 0 < dose["pulses_delivered"] < dose["lifetime_pulses"]
    assert dict(zip(*dose["lifetime"].values(), strict=True)) == life.charge_nc
    assert "of 2 sessions" in Page(html(report)).text
    (tmp_path / "ledger" / "C12.jsonl").unlink()
    assert "No ledger of the culture's life is here." in Page(html(report_on(subject_of([file])))).text


def test_sessions_are_compared_by_condition(tmp_path, play):
    files = [Path(play("duration=25s", f"condition={name}").file) for name in ("stimulus", "silent")]
    report = report_on(subject_of([tmp_path]))
    rows = report.comparison.conditions
    assert set(rows["condition"]) == {"stimulus", "silent"}
    assert set(report.learning.numbers.curves["condition"]) == {"stimulus", "silent"}
    assert [session.file for session in report.sessions] == [str(file) for file in files]
    for file in write_files(report.learning, tmp_path):
        assert Path(file).stat().st_size > 1000


@pytest.mark.parametrize(
    ("condition", "heading", "told"),
    [
        ("stimulus", "Feedback", "pulsed together at 100 Hz"),
        ("silent", "Feedback", "without its pulses"),
        ("yoked", "Feedback", "not contingent"),
        ("no_feedback", "Feedback", "no feedback"),
        ("no_feedback", "Task", "bounced on"),
        ("rest", "Encoding", "shown nothing"),
        ("noise", "Culture", "No culture played"),
        ("agent", "Culture", "drawn at random"),
        ("agent", "Decoding", "no spikes were read"),
        ("shuffled_channels", "Decoding", "channels permuted"),
        ("random_actions", "Decoding", "drawn uniformly"),
    ],
)
def test_methods_tell_what_the_condition_exchanged(play, condition, heading, told):
    file = Path(play("duration=1s", f"condition={condition}").file)
    (session,) = report_on(subject_of([file])).sessions
    methods = {paragraph.heading: paragraph.text for paragraph in session.methods}
    assert told in methods[heading]
    delivered = "pulsed together" in methods["Feedback"]
    assert delivered == (condition not in {"silent", "no_feedback", "rest", "agent"})


def test_a_silent_dish_with_one_electrode_has_a_page_that_says_so(play):
    settings = ("source.probe.columns=1", "source.probe.rows=1", "layout.sensory_electrodes=1")
    file = play("duration=5s", "condition=rest", "source.kind=poisson", "source.rate_hz=0.0001", *settings).file
    page = Page(html(report_on(subject_of([Path(file)]))))
    assert "No spike was recorded." in page.text
    assert "No pulse was delivered." in page.text
    assert "nan" not in page.text.lower().split()


def test_what_cannot_be_reported_on_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no recording"):
        subject_of([tmp_path])
    (tmp_path / "page.html").write_text("mine")
    done = CliRunner().invoke(app, ["report", str(SAMPLES / "sample-culture.nwb"), "--out", f"{tmp_path}/page.html"])
    assert isinstance(done.exception, ConfigError)
    assert (tmp_path / "page.html").read_text() == "mine"


def test_report_on_an_experiment_begins_with_who_learns(tmp_path):
    protocol = tmp_path / "p.yaml"
    protocol.write_text(
        "name: tiny\nsession: {duration: 24}\narms: {conditions: [stimulus, yoked]}\ncultures: {seeds: 2}\n"
        "metrics: [rally_length]\nresamples: 99\nwindows: {early: [0s, 12s], late: [12s, 24s]}\n"
    )
    experiment = run_experiment(protocol, tmp_path / "tiny", Workers(1))
    report = report_on(subject_of([experiment.folder]))
    assert report.verdict.to_dict()["verdict"] == compare(experiment).verdict
    assert verdict.who_learns(report.verdict)["reference against"].tolist() == ["yoked"]
    assert set(report.comparison.sessions["condition"]) == {"stimulus", "yoked"}
    assert len(report.learning.numbers.episodes["value"]) > 0
    with pytest.raises(ConfigError, match="report on it alone"):
        subject_of([experiment.folder, SAMPLES])
