"""What ``wetloop encode-preview`` tells and draws."""

import json
from pathlib import Path

import gymnasium
import pytest

from wetloop.assembly import describe
from wetloop.cli.codes_view import code_row, cost, resolution, told
from wetloop.cli.encode_figure import write_figure
from wetloop.cli.encode_play import play
from wetloop.cli.encode_preview import summary
from wetloop.cli.main import main
from wetloop.coding.combined_encoder_config import CombinedConfig
from wetloop.coding.encoder_config import NoEncoderConfig, PlaceRateConfig, RateConfig, RetinotopicConfig
from wetloop.config import parse_config
from wetloop.core.errors import ConfigError
from wetloop.core.limits import StimLimits
from wetloop.tasks.config import PongConfig

CONFIG = Path(__file__).parents[2] / "configs" / "pong.yaml"
LAYOUT = "layout: {sensory_electrodes: 24, sensory_rows: 3}"


class Shown(gymnasium.Wrapper):
    """Pong whose picture is told."""

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        return observation, info | {"frame": self.env.render()}

    def step(self, action):
        *told, info = self.env.step(action)
        return *told, info | {"frame": self.env.render()}


class ShownPong(PongConfig):
    def build(self, decision_ms):
        pong = super().build(decision_ms)
        pong.frame_shape = (90, 120, 3)
        return Shown(pong)


THREE = CombinedConfig(
    parts=(
        PlaceRateConfig(electrodes=4),
        RateConfig(elements=[{"element": "ball_vx", "low": -0.4, "high": 0.4}, {"element": 3, "electrodes": 3}]),
        RetinotopicConfig(max_total_hz=100, silent_below=0.02),
    )
)


def previewed(encoder, task=None, text=LAYOUT, seconds=0.5):
    config = parse_config(text, "x.yaml", ["feedback=none"]).model_copy(
        update={"encoder": encoder, "task": task or PongConfig()}
    )
    return play(describe(config)[0], seconds)


@pytest.fixture(scope="module")
def three():
    return previewed(THREE, ShownPong())


def test_the_picture_of_a_session_is_written_and_summed_up(tmp_path, capsys):
    out = tmp_path / "seen.png"
    assert main(["encode-preview", str(CONFIG), "--seconds", "1", "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert out.read_bytes().startswith(b"\x89PNG")
    assert result["file"] == str(out)
    assert result["frame_shape"] is None
    assert set(result["observation"]) == {"ball_x", "ball_y", "ball_vx", "ball_vy", "paddle_y"}
    (rate_hz,) = result["rates_hz"].values()
    assert rate_hz == pytest.approx(4 + 36 * (1 - result["observation"]["ball_x"]), rel=1e-6)
    (code,) = result["codes"]
    assert (code["kind"], code["latency_ms_at_max_rate"], code["levels_in_1_s"]) == ("place-rate", 22.5, 37)
    assert set(result["pulses_in_the_next_second"]) == {"delivered"}


def test_the_same_seed_shows_the_same(three):
    again = previewed(THREE, ShownPong())
    assert again.program == three.program
    assert again.pulses.tobytes() == three.pulses.tobytes()


def test_rates_and_pulses_agree_and_nothing_is_refused(three):
    assert len(three.rates_hz) == 1 + 4 + 16
    still = previewed(RateConfig(elements=[{"element": "paddle_y", "low": 2, "high": 3}], min_rate_hz=7))
    assert list(still.rates_hz.values()) == pytest.approx([7])
    assert still.fates == {"delivered": 7}
    second = still.setting.info.sampling_frequency
    assert (still.pulses["sample_index"] - still.start_sample < second).all()
    assert (still.pulses["sample_index"] >= still.start_sample).all()


def test_frames_grids_features_and_pulses_are_drawn(three, tmp_path):
    write_figure(three, tmp_path / "x.svg")
    text = (tmp_path / "x.svg").read_text()
    shown = ("Frame, 120 x 90 pixels", "Pooled, 2 x 8", "paddle_y", "rate (Hz)", "time from the program", "brightness")
    assert [words for words in shown if words not in text] == []
    assert summary(three)["frame_shape"] == [90, 120, 3]


def test_an_encoder_that_shows_nothing_is_drawn_too(tmp_path):
    preview = previewed(NoEncoderConfig(), seconds=0.1)
    assert (preview.codes, preview.rates_hz, preview.fates) == ((), {}, {})
    write_figure(preview, tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").stat().st_size > 10_000
    with pytest.raises(ConfigError, match="the picture cannot be written"):
        write_figure(preview, tmp_path / "nothing.doc")


def test_codes_are_told_in_words(three):
    place, rate, picture = three.codes
    assert told(place) == "place: ball_y - paddle_y, -0.5 to 0.5; rate: ball_x 1 to 0"
    assert told(rate) == "rate: ball_vx -0.4 to 0.4, ball_vy 0 to 1"
    assert told(picture) == "rate: brightness 0 to 1 (silent under 0.02)"
    assert resolution(place) == "4 places; 2 rates told apart in 50 ms, 37 in 1 s"
    assert resolution(picture).startswith("2 x 8 fields; ")
    assert cost(rate, StimLimits()) == "at most 160 pulses/s on 4 of 4 electrodes at once"
    assert cost(picture, three.setting.limits).endswith("session's charge lasts 33.3 min at 40 Hz")
    assert code_row(picture, StimLimits())["grid"] == [2, 8]


def test_a_dry_run_tells_the_codes(capsys):
    assert main(["run", str(CONFIG), "--dry-run"]) == 0
    assert "135 ms at 4 Hz, 22.5 ms at 40 Hz" in capsys.readouterr().out
