"""Films and stills: what is in them is what was recorded."""

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from wetloop import assembly, stages
from wetloop.analysis.draw import HELD, KIND_COLOURS, SPIKE
from wetloop.analysis.film import Cut, render
from wetloop.analysis.pictures import RecordedPictures, ReplayedPictures, pictures_of
from wetloop.analysis.scene import GAME, RASTER, Scene, rounded_up, signed
from wetloop.analysis.story import Story
from wetloop.cli.main import main
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError, RecordingError
from wetloop.recording.reader import Recording
from wetloop.session import run_session
from wetloop.tasks.pong import Pong
from wetloop.tasks.runner import TaskRunner

QUICK = ("duration=8", "task.crossing_s=0.5", "feedback.random.duration_s=0.5", "feedback.rest_s=0.5")
FRAMES = ("recording.frames=grey", "recording.frame_rate_hz=20", "recording.frame_size=[45,60]")


def settings_of(folder, *settings):
    return parse_config("", "test", [f"recording.folder={folder}", *QUICK, *settings])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Record a short session of Pong without pictures."""
    settings = settings_of(tmp_path_factory.mktemp("plain"))
    return Path(run_session(settings, accelerated=True).file)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """Record the same session with pictures."""
    settings = settings_of(tmp_path_factory.mktemp("pictured"), *FRAMES)
    return Path(run_session(settings, accelerated=True).file)


def ball_in(picture):
    """Return x and y of the ball, 0 to 1: the middle of the brightest pixels right of the paddle."""
    height, width = picture.shape[:2]
    paddle = round(width * 3 / 120) + 1
    rows, columns = np.nonzero(picture[:, paddle:] == picture[:, paddle:].max())
    return (columns.mean() + paddle + 0.5) / width, 1 - (rows.mean() + 0.5) / height


def balls(decisions, pick):
    """Yield where the ball is in each picture, and where the observation says, for (decision, picture) in ``pick``."""
    for k, picture in pick:
        yield ball_in(picture), decisions["observation"][k, :2]


def assert_the_ball_is_where_it_was(found):
    told = [(seen, said) for seen, said in found if said[0] > 0.1]
    assert len(told) > 20
    for seen, said in told:
        assert abs(seen[0] - (5 + 112 * said[0]) / 120) < 0.03
        assert abs(seen[1] - (2 + 86 * said[1]) / 90) < 0.04


def recorded_pairs(recording):
    decisions = recording.decisions()
    at = np.searchsorted(decisions["stop_sample"], recording.frame_samples)
    assert (decisions["stop_sample"][at] == recording.frame_samples).all()
    return decisions, zip(at.tolist(), recording.frames()[:], strict=True)


def test_recorded_pictures_show_the_ball_where_the_observation_says(pictured):
    with Recording(pictured) as recording:
        assert len(recording.frame_times) == 161
        assert recording.frames().shape[1:] == (45, 60)
        assert_the_ball_is_where_it_was(balls(*recorded_pairs(recording)))


def test_pictures_are_recorded_in_real_time_too(tmp_path):
    summary = run_session(settings_of(tmp_path, *FRAMES, "duration=2"), accelerated=False)
    assert summary.dropped["frames"] == 0
    with Recording(summary.file) as recording:
        assert len(recording.frame_times) == 41
        assert_the_ball_is_where_it_was(balls(*recorded_pairs(recording)))


@pytest.mark.parametrize("kind", ["spikes", "pulses", "decisions"])
def test_a_session_with_pictures_is_the_same_session(plain, pictured, kind):
    with Recording(plain) as one, Recording(pictured) as other:
        np.testing.assert_array_equal(getattr(one, kind)(), getattr(other, kind)())


def test_a_task_without_a_picture_is_refused(tmp_path):
    setting, _ = assembly.describe(settings_of(tmp_path, *FRAMES))
    blind = TaskRunner(Pong(render_mode=None), seed=1)
    with pytest.raises(ConfigError, match=r"pong shows no picture .* recording\.frames to none"):
        stages.header_of(setting, blind)


def test_the_task_played_again_shows_the_recorded_game(plain):
    with Recording(plain) as recording:
        pictures, decisions = pictures_of(recording), recording.decisions()
        assert isinstance(pictures, ReplayedPictures)
        shown = [(k, pictures.after(k, int(decisions["stop_sample"][k]))) for k in range(0, 800, 7)]
    assert {shot.proportion for _, shot in shown} == {120 / 90}
    assert_the_ball_is_where_it_was(balls(decisions, ((k, shot.picture[..., 0]) for k, shot in shown)))


def test_another_game_than_the_recorded_is_refused(plain, tmp_path):
    altered, out = tmp_path / "altered.nwb", tmp_path / "still.png"
    shutil.copy(plain, altered)
    with h5py.File(altered, "r+") as file:
        file["processing/behavior/decoder/data"][20:60] = -1.0
    with pytest.raises(RecordingError, match=r"shows another game from decision \d+ on"):
        render(altered, out, Cut(7.0))
    assert [path.name for path in tmp_path.iterdir()] == ["altered.nwb"]


def test_recorded_pictures_come_first_and_keep_their_proportions(pictured):
    with Recording(pictured) as recording:
        pictures = pictures_of(recording)
        assert isinstance(pictures, RecordedPictures)
        assert pictures.after(0, 0) is None
        assert pictures.after(60, 15_250).proportion == 120 / 90
        np.testing.assert_array_equal(pictures.after(60, 15_250).picture, recording.frames()[12])


def test_a_scene_shows_spikes_pulses_holds_and_the_game(plain):
    with Recording(plain) as recording:
        story = Story(recording)
        pulses = recording.pulses()
    delivered = pulses[(pulses["fate"] == 0) & (pulses["kind"] == 2)]
    at_s = delivered["sample_index"][0] / story.sampling_frequency + 0.05
    still = np.asarray(Scene(story, "nowhere", 5.0).draw(at_s, None))
    raster = still[RASTER.top : RASTER.bottom, RASTER.left : RASTER.right]
    for colour in (SPIKE, HELD, KIND_COLOURS["sensory"], KIND_COLOURS["random"]):
        assert (raster == colour).all(axis=2).any(), colour
    assert not (raster == KIND_COLOURS["reflex"]).all(axis=2).any()
    random = np.nonzero((raster == KIND_COLOURS["random"]).all(axis=2))[1]
    assert abs((RASTER.width - random.min()) / RASTER.width * 5.0 - 0.05) < 0.01
    assert len(np.unique(still[GAME.top : GAME.bottom, GAME.left : GAME.right].reshape(-1, 3), axis=0)) == 1


def test_the_score_counts_what_was_recorded(plain):
    with Recording(plain) as recording:
        story, summary, decisions = Story(recording), recording.summary, recording.decisions()
        rallies = recording.episodes()
    last = story.score(len(decisions) - 1)
    assert last.counts == summary["events"]
    assert last.reward == decisions["reward"].sum()
    ends = np.searchsorted(decisions["stop_sample"], rallies["stop_sample"])
    assert [story.score(int(k)).rally for k in ends] == rallies["hits"].tolist()
    assert sum(summary["events"].values()) == len(story.events_between(0, 10**9))


def test_an_mp4_has_the_expected_pictures_and_size(plain, tmp_path, capsys):
    imageio = pytest.importorskip("imageio.v2")
    out = tmp_path / "film.mp4"
    arguments = ["--from", "1", "--to", "3", "--speed", "2", "--fps", "20", "--json"]
    assert main(["replay", str(plain), "--render", str(out), *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pictures"] == 20
    assert told["stop_s"] == pytest.approx(2.9)
    with imageio.get_reader(out) as film:
        assert film.count_frames() == 20
        assert film.get_meta_data()["size"] == (1280, 720)
        assert film.get_meta_data()["fps"] == 20
    assert not list(tmp_path.glob(".*"))


def test_a_gif_has_the_expected_pictures(plain, tmp_path):
    made = render(plain, tmp_path / "film.gif", Cut(2.0, 2.5, fps=10))
    with Image.open(made.file) as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (5, (1280, 720), 100)


@pytest.mark.parametrize(
    ("cut", "size", "pictures"),
    [(Cut(2.0), (2560, 1440), 1), (Cut(), (2560, 2160), 6), (Cut(1.0, 2.0), (2560, 2160), 6)],
)
def test_a_still_shows_one_moment_or_six(plain, tmp_path, cut, size, pictures):
    made = render(plain, tmp_path / "still.png", cut)
    assert made.pictures == pictures
    with Image.open(made.file) as still:
        assert still.size == size


def test_what_exists_is_not_replaced_unless_forced(plain, tmp_path, capsys):
    out = tmp_path / "still.png"
    out.write_bytes(b"precious")
    command = ["replay", str(plain), "--render", str(out), "--from", "1"]
    assert main(command) == 2
    assert "exists and is not replaced" in capsys.readouterr().err
    assert out.read_bytes() == b"precious"
    assert main([*command, "--force", "--quiet"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "cut", "said"),
    [
        ("film.avi", Cut(), "films end in .mp4 or .gif"),
        ("film.gif", Cut(5.0, 4.0), "the session lasts from 0 to 8 s"),
        ("film.gif", Cut(0.0, 9.0), "--from and --to"),
        ("film.gif", Cut(speed=0.1), "a GIF of 2000 pictures would be too large"),
        ("nowhere/still.png", Cut(1.0), "cannot be written"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(plain, tmp_path, name, cut, said):
    with pytest.raises(ConfigError, match=said):
        render(plain, tmp_path / name, cut)
    assert not list(tmp_path.glob("*film*"))


def test_mp4_without_ffmpeg_names_the_extra(plain, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"wetloop\[video\]"):
        render(plain, tmp_path / "film.mp4", Cut())


def test_only_one_question_at_a_time(plain, capsys):
    assert main(["replay", str(plain), "--verify", "--render", "a.png"]) == 2
    assert "one at a time" in capsys.readouterr().err
    assert main(["replay", str(plain), "--force"]) == 2
    assert "belongs to --render" in capsys.readouterr().err


def test_numbers_are_written_as_people_do():
    assert [signed(v) for v in (3.0, -2.0, 0.0, 1.25)] == ["+3", "\N{MINUS SIGN}2", "0", "+1.2"]
    assert [rounded_up(v) for v in (0, 11, 21, 51, 4321)] == [10, 20, 50, 100, 5000]
