"""The folder of an experiment: what was registered, what was run, and where the two differ.

``manifest.json`` is written before the first run, with the SHA-256 of the plan in it; ``key.json`` tells which letter
is which arm; ``runs.jsonl`` grows by a line with each finished run, ``failures.jsonl`` and ``deviations.jsonl`` where
something went otherwise; ``recordings`` holds the sessions.
"""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetloop.core import jsonl
from wetloop.core.errors import ConfigError
from wetloop.experiments.plan import Planned, PlannedRun, sha256, versions
from wetloop.experiments.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST, KEY, LOCK = "manifest.json", "key.json", "lock"
RUNS, FAILURES, DEVIATIONS = "runs.jsonl", "failures.jsonl", "deviations.jsonl"
COMPLETED = "completed"


@dataclass(frozen=True)
class Run:
    """One finished run.

    ``condition`` is the arm's name, ``arm`` its letter; ``metrics`` hold a value for each metric and window (``early``,
    ``late``), ``episodes`` how many ended in each; ``file`` is the recording; ``ended`` as the session's summary says.
    """

    code: str
    condition: str
    arm: str
    culture: str
    layout: str
    repeat: int
    seed: int
    file: Path
    ended: str
    metrics: dict[str, dict[str, float | None]]
    episodes: dict[str, int]
    config_sha256: str
    versions: dict[str, str]
    wall_s: float

    @property
    def completed(self) -> bool:
        """Whether the session was played to its planned end."""
        return self.ended == COMPLETED


@dataclass(frozen=True)
class Experiment:
    """An experiment as it stands: what was planned, what was run, and where they differ.

    ``conditions`` gives the name of each arm by its letter, ``plan`` all that was registered.
    """

    folder: Path
    name: str
    registered: str
    sha256: str
    protocol: Protocol
    plan: dict[str, Any]
    conditions: dict[str, str]
    runs: list[Run]
    deviations: list[str]

    @property
    def planned(self) -> list[PlannedRun]:
        """All runs that were planned, in their order."""
        return [PlannedRun(**run) for run in self.plan["runs"]]

    @property
    def complete(self) -> bool:
        """Whether every planned run is finished."""
        return {run.code for run in self.runs} >= {run.code for run in self.planned}


def register(folder: Path, planned: Planned, protocol_path: Path) -> None:
    """Write manifest and key of a new experiment; what is registered already stays."""
    if (folder / MANIFEST).exists():
        return
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    _write(folder / KEY, planned.key)
    manifest = {
        "registered": _now(),
        "protocol_file": str(protocol_path.resolve()),
        "sha256": sha256(planned.plan),
        "plan": planned.plan,
    }
    _write(folder / MANIFEST, manifest)


def note_differences(folder: Path, planned: Planned) -> None:
    """Note where what would be planned now differs from what is registered; what is registered is run."""
    plan = _read(folder / MANIFEST)["plan"]
    differs = [name for name in plan if plan[name] != planned.plan.get(name)]
    if differs:
        words = f"what was registered is run, though the protocol now differs in {', '.join(differs)}"
        _deviate(folder, words)


def _deviate(folder: Path, words: str) -> None:
    if words not in {row["what"] for row in jsonl.rows(folder / DEVIATIONS)}:
        jsonl.append(folder / DEVIATIONS, {"at": _now(), "what": words})


def note_failure(folder: Path, code: str, message: str) -> None:
    """Note that a run could not be played."""
    jsonl.append(folder / FAILURES, {"at": _now(), "code": code, "what": message})


def load(folder: Path) -> Experiment:
    """Return an experiment from its folder, or from its manifest.

    Raises
    ------
    ConfigError
        Where there is none.
    """
    folder = folder.parent if folder.name == MANIFEST else folder
    manifest, key = _read(folder / MANIFEST), _read(folder / KEY)
    plan = manifest["plan"]
    experiment = Experiment(
        folder,
        plan["protocol"]["name"],
        manifest["registered"],
        manifest["sha256"],
        Protocol.model_validate(plan["protocol"]),
        plan,
        key,
        sorted((_run(folder, key, row) for row in jsonl.rows(folder / RUNS)), key=lambda run: run.code),
        [],
    )
    experiment.deviations.extend(_deviations(experiment, Path(manifest["protocol_file"])))
    return experiment


def _run(folder: Path, key: dict[str, str], row: dict[str, Any]) -> Run:
    return Run(**row | {"file": folder / row["file"], "condition": key.get(row["arm"], "unknown")})


def _deviations(experiment: Experiment, protocol_file: Path) -> Iterator[str]:
    """Yield in words everything that is not as it was registered."""
    folder, plan = experiment.folder, experiment.plan
    if sha256(plan) != experiment.sha256:
        yield "the manifest was changed after it was registered: its SHA-256 does not fit"
    if sha256({name: letter for letter, name in experiment.conditions.items()}) != plan["key_sha256"]:
        yield "the key was changed after it was registered: its SHA-256 does not fit"
    if protocol_file.exists() and protocol_file.read_text(encoding="utf-8-sig") != plan["protocol_text"]:
        yield f"the protocol file {protocol_file.name} has been changed since it was registered"
    now = versions(plan["versions"])
    if now != plan["versions"]:
        yield f"analysed with other versions than registered: {_differing(now, plan['versions'])}"
    yield from (f"{row['at']}: {row['what']}" for row in jsonl.rows(folder / DEVIATIONS))
    yield from _of_runs(experiment)
    done = {run.code for run in experiment.runs}
    failed = [row for row in jsonl.rows(folder / FAILURES) if row["code"] not in done]
    yield from (f"{row['code']} failed: {row['what']}" for row in failed)
    if not experiment.complete:
        yield f"looked at before it was complete: {len(done)} of {len(experiment.planned)} runs are finished"


def _of_runs(experiment: Experiment) -> Iterator[str]:
    planned = {run.code: run for run in experiment.planned}
    for code, n in Counter(run.code for run in experiment.runs).items():
        if n > 1:
            yield f"{code} was run {n} times"
    for run in experiment.runs:
        if run.code not in planned:
            yield f"{run.code} was never planned"
            continue
        yield from _of_run(run, planned[run.code], experiment.plan)


def _of_run(run: Run, planned: PlannedRun, plan: dict[str, Any]) -> Iterator[str]:
    names = ("arm", "culture", "layout", "repeat", "seed", "config_sha256")
    differs = [name for name in names if getattr(run, name) != getattr(planned, name)]
    if differs:
        yield f"{run.code} differs from its plan in {', '.join(differs)}"
    if run.versions != plan["versions"]:
        yield f"{run.code} was run with other versions than registered: {_differing(run.versions, plan['versions'])}"
    if not run.completed:
        yield f"{run.code} ended early ({run.ended}) and is left out"
    missing = set(plan["protocol"]["metrics"]) - set(run.metrics)
    if missing:
        yield f"{run.code} lacks {', '.join(sorted(missing))}"


def _differing(one: dict[str, str], other: dict[str, str]) -> str:
    names = sorted(name for name in one | other if one.get(name) != other.get(name))
    return ", ".join(f"{name} {one.get(name, 'none')} for {other.get(name, 'none')}" for name in names)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Own the folder: two who run one experiment at the same time would play every run twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{folder}: this experiment is being run already") from error
        yield


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(f"{path}: no experiment there ({error.strerror}): name the folder of one") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: damaged: {error}") from error


def _write(path: Path, value: object) -> None:
    """Write a file as a whole, or not at all."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    new.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
