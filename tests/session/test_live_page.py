"""The page itself, in headless Chromium."""

import browser_process as browser
import pytest
import view_process

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium in PATH: the page is not looked at")
CANVASES = ["game", "raster", "map", "rallies", "timing"]
INKED = """
Object.fromEntries([...document.querySelectorAll("canvas")].map((canvas) => [canvas.id, new Set(new Uint32Array(
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size]))
"""
STORM = ("watch.storm.above_hz=1", "watch.storm.after_s=1")
TOLD = "document.querySelector('#alarms [role=alert]').innerText"
WIDER = "document.documentElement.scrollWidth - innerWidth"


@pytest.fixture
def tab(tmp_path):
    with browser.tab(tmp_path / "profile") as opened:
        yield opened


@pytest.fixture
def replay(tmp_path):
    from wetloop.config import parse_config
    from wetloop.session import run_session

    config = parse_config("", "test.yaml", ["duration=60", f"recording.folder={tmp_path}", *STORM])
    summary = run_session(config, accelerated=True)
    with view_process.ViewProcess(summary.file) as viewer:
        yield viewer


def test_the_page_draws_everything_and_obeys_the_keys(replay, tab):
    for width, height, scheme in ((1600, 900, "dark"), (390, 844, "light")):
        tab.show(replay.url.replace("/#", f"/?{width}#"), width, height, scheme)
        inked = tab.value(INKED)
        assert sorted(inked) == sorted(CANVASES)
        assert min(inked.values()) >= 3, inked
        assert tab.value(WIDER) <= 0
    tab.press(" ")
    tab.until("document.getElementById('play').textContent === 'Play'")
    tab.press("End")
    tab.until("document.getElementById('state').textContent === 'at the end'")
    tab.until("document.getElementById('elapsed').textContent === '1:00'")
    tab.press("Home")
    tab.until("document.getElementById('elapsed').textContent === '0:00'")
    assert tab.value("document.getElementById('stop').hidden") is True
    assert tab.trouble == []


def test_an_alarm_is_a_banner_that_can_be_hidden(replay, tab):
    tab.show(replay.url, 390, 844, "dark")
    tab.press(" ")
    tab.press("End")
    tab.until("!document.getElementById('alarms').hidden")
    told = tab.value(TOLD).split("\n")
    assert (told[0], told[2]) == ("▲ Alarm: storm", "storm raised")
    assert {"at 0:01", "policy continue"} <= set(told)
    assert "spikes/s over the array in the last second, for 1 s" in told[-1]
    assert tab.value(WIDER) <= 0
    tab.value("document.getElementById('hide-alarms').click()")
    tab.until("document.getElementById('alarms').hidden")
    tab.press("Home")
    tab.until("document.querySelector('#health dd').textContent === 'none now'")
    tab.press("End")
    tab.until("!document.getElementById('alarms').hidden")
    assert tab.trouble == []
