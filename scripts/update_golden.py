"""Writes the golden recording of the present format version: a short game with pulses, a hit and a miss.

    python scripts/update_golden.py             where there is none yet
    python scripts/update_golden.py --replace   anew, after a change of behaviour on purpose

Those of older versions are never touched: they prove that old recordings can still be read and replayed.
"""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

import h5py

from wetloop.config import parse_config
from wetloop.recording.schema import FORMAT_VERSION, VERSION_ATTRIBUTE
from wetloop.replay import verify
from wetloop.session import run_session

FOLDER = Path(__file__).parents[1] / "recordings"
MOST_BYTES = 1_000_000
SETTINGS = (
    "seed=3", "duration=12", "task.crossing_s=0.8", "feedback.random.duration_s=1", "feedback.rest_s=0.5",
    "exclusion.artefact_ms=[0,5]",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replace", action="store_true", help="replace the recording of the present version")
    target = FOLDER / f"sample-culture-v{FORMAT_VERSION}.nwb"
    if refusal := refused(target, replace=parser.parse_args().replace):
        print(refusal, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, contextlib.chdir(folder):
        settings = [*SETTINGS, "recording.folder=.", f"recording.name={target.stem}"]
        summary = run_session(parse_config("", "golden", settings), accelerated=True)
        if fault := unfit(summary):
            print(fault, file=sys.stderr)
            return 1
        Path(summary.file).replace(target)
    print(f"{target}: {summary.events}, {summary.spikes} spikes, {target.stat().st_size} bytes")
    return 0


def refused(target: Path, *, replace: bool) -> str:
    """Return why this file must not be written; empty where it may be."""
    if not target.exists():
        return ""
    if not replace:
        return f"{target} exists: say --replace if behaviour was changed on purpose"
    with h5py.File(target) as file:
        version = int(file.attrs[VERSION_ATTRIBUTE])
    return "" if version == FORMAT_VERSION else f"{target} is of format version {version}: it is never replaced"


def unfit(summary) -> str:
    """Return what the new recording lacks; empty where it is fit."""
    size = Path(summary.file).stat().st_size
    delivered = {kind: fates.get("delivered", 0) for kind, fates in summary.pulses.items()}
    if not (summary.events["hit"] and summary.events["miss"]):
        return f"the game has no hit or no miss: {summary.events}"
    if not (delivered["sensory"] and delivered["predictable"] and delivered["random"]):
        return f"a kind of pulse is missing: {delivered}"
    if size > MOST_BYTES:
        return f"{size} bytes are more than {MOST_BYTES}"
    differences = verify(Path(summary.file)).differences
    return f"it does not replay: {differences}" if differences else ""


if __name__ == "__main__":
    sys.exit(main())
