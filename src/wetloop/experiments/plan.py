"""From a protocol to every run: arms, cultures, layouts, seeds, order and code names, fixed before the first one.

Arms hide behind letters and runs behind their number in a random order; the key is a file of its own. That keeps an
honest eye from knowing which arm it looks at. It is no secret: recordings name their condition, as a replay needs it.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wetloop import __version__
from wetloop.core.errors import ConfigError
from wetloop.core.plugin import seeded
from wetloop.experiments.protocol import FALLING, Arm, read_protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wetloop.config import SessionConfig
    from wetloop.experiments.protocol import Protocol

WHO_LEARNS = {
    "zero_spikes": Arm(condition="zero_spikes"),
    "poisson_spikes": Arm(condition="poisson_spikes"),
    "shuffled_channels": Arm(condition="shuffled_channels"),
    "plasticity_blocked": Arm(set=('source.plasticity={kind: "off"}',)),
}
"""Arms that tell who learns; the replay of another culture comes to them where the protocol names a recording."""
CLAIM_TEST = (
    "Two-sided permutation test of arm labels within cultures (over cultures where arms share none) on the difference "
    "of the differences"
)
EXPLORATORY_TESTS = (
    "All else is exploratory: the same test of the reference against every other arm, Wilcoxon's signed-rank test "
    "(Mann-Whitney's where arms share no cultures) on the late window, Wilcoxon's early against late within each arm; "
    "for each metric Holm's correction over all of these."
)
PACKAGES = ("numpy", "scipy", "numba")
OF_AGENTS = ("stable-baselines3", "torch")
"""Packages on whose versions results depend, and those on which the results of learning agents do."""
OF_THE_RUN = ("recording",)
"""Sections of a session's configuration that say where it is kept, not what it is."""


@dataclass(frozen=True)
class PlannedRun:
    """One run as it was planned: code name, arm (a letter), culture, layout, repeat, and the session's seed.

    ``config_sha256`` is that of the session's configuration without where it is recorded.
    """

    code: str
    arm: str
    culture: str
    layout: str
    repeat: int
    seed: int
    config_sha256: str


class Planned(NamedTuple):
    """What is registered, and the key that is kept apart: the name of each arm, by its letter."""

    plan: dict[str, Any]
    key: dict[str, str]


class Culture(NamedTuple):
    """One culture, and the settings that put it into a session."""

    name: str
    settings: tuple[str, ...]


def made_from(path: Path) -> Planned:
    """Return the plan of a protocol file; every session of it is checked as far as that can be before a run.

    Raises
    ------
    ConfigError, GuardError
        Where the protocol, or a session of it, cannot be run.
    """
    from wetloop.config import to_yaml

    protocol, text = read_protocol(path)
    base = _base(protocol, path)
    arms, left_out = _arms(protocol, path, base)
    letters = _letters(protocol, list(arms))
    session = to_yaml(base)
    learn = _rehearse(protocol, session, arms, base)
    runs = list(_runs(protocol, session, arms, letters, base))
    plan = {
        "protocol": protocol.model_dump(mode="json"),
        "protocol_text": text,
        "session": session,
        "windows_s": protocol.windows_s(base.duration),
        "arms": {name: arm.model_dump(mode="json") for name, arm in arms.items()},
        "left_out": left_out,
        "tests": _tests(protocol),
        "versions": versions(PACKAGES + OF_AGENTS * learn),
        "runs": [asdict(run) for run in runs],
        "key_sha256": sha256(letters),
    }
    return Planned(json.loads(json.dumps(plan)), {letter: name for name, letter in letters.items()})


def sha256(value: object) -> str:
    """Return the SHA-256 of plain data, written as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions on which results depend; "none" of a package that is not installed."""
    ours = {"wetloop": __version__, "python": platform.python_version()}
    return ours | {name: _version(name) for name in packages if name not in ours}


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def config_of(plan: Mapping[str, Any], key: Mapping[str, str], run: PlannedRun, folder: Path) -> SessionConfig:
    """Return the configuration of one run, recorded under its code name in the folder's ``recordings``."""
    from wetloop.config import parse_config
    from wetloop.experiments.protocol import Protocol

    protocol = Protocol.model_validate(plan["protocol"])
    arm = Arm.model_validate(plan["arms"][key[run.arm]])
    base = parse_config(plan["session"], "session")
    culture = next(each for each in _cultures(protocol, base) if each.name == run.culture)
    where = (f"recording.folder={json.dumps(str(folder / 'recordings'))}", f"recording.name={run.code}")
    settings = _settings(protocol, culture, run.layout, run.seed, arm)
    return parse_config(plan["session"], "session", (*settings, *where))


def _base(protocol: Protocol, path: Path) -> SessionConfig:
    from wetloop.config import load_config, parse_config

    if isinstance(protocol.session, dict):
        import yaml

        return parse_config(yaml.safe_dump(protocol.session), f"{path}: session", protocol.set)
    return load_config(_beside(path, protocol.session), protocol.set)


def _beside(path: Path, name: str) -> Path:
    """Return a file that a protocol names: in the current folder, else beside the protocol."""
    here = Path(name).expanduser()
    found = here if here.exists() else path.parent / here
    if not found.exists():
        raise ConfigError(f"{path}: no such file: {name}, neither here nor beside the protocol")
    return found.resolve()


def _arms(protocol: Protocol, path: Path, base: SessionConfig) -> tuple[dict[str, Arm], dict[str, str]]:
    """Return the arms by name, and why arms that would tell who learns are left out."""
    wanted = protocol.arms
    arms = {name: Arm(condition=name) for name in wanted.conditions} | dict(wanted.more)
    left_out: dict[str, str] = {}
    if wanted.who_learns:
        _add_who_learns(arms, left_out, protocol, base)
    if wanted.replay is not None:
        source = {"kind": "recorded", "path": str(_beside(path, wanted.replay)), "loop": True}
        arms["replayed"] = Arm(set=(f"source={json.dumps(source)}",))
    elif wanted.who_learns:
        left_out["replayed"] = "arms.replay names no recording of another culture"
    for role in ("reference", "control"):
        if getattr(wanted, role) not in arms:
            raise ConfigError(f"{path}: arms.{role}: {getattr(wanted, role)!r} is no arm: there are {', '.join(arms)}")
    return arms, left_out


def _add_who_learns(arms: dict[str, Arm], left_out: dict[str, str], protocol: Protocol, base: SessionConfig) -> None:
    from wetloop.config import parse_config, to_yaml

    culture = _cultures(protocol, base)[0]

    left_out["decoder_frozen"] = (
        "no decoder learns from outcomes during a session and a fitted one never changes; running means and gains of a "
        "decoder go on in all arms alike"
    )
    for name, arm in WHO_LEARNS.items():
        try:
            parse_config(to_yaml(base), "session", (*culture.settings, *arm.set))
        except ConfigError as error:
            left_out[name] = str(error)
        else:
            arms.setdefault(name, arm)


def _rehearse(protocol: Protocol, session: str, arms: Mapping[str, Arm], base: SessionConfig) -> bool:
    """Refuse an arm that cannot be played: patterns, limits, electrodes, agents. Return whether an agent learns."""
    from wetloop.assembly import describe
    from wetloop.config import parse_config

    culture, layout = _cultures(protocol, base)[0], next(iter(protocol.layouts.variants))
    configs = [parse_config(session, "session", _settings(protocol, culture, layout, 0, arm)) for arm in arms.values()]
    for config in configs:
        describe(config)
    return any(config.condition == "agent" and config.agent.kind != "random" for config in configs)


def _letters(protocol: Protocol, names: list[str]) -> dict[str, str]:
    """Return a letter for each arm, drawn at random."""
    order = seeded(protocol.seed, "experiment blinding").permutation(len(names))
    return {name: f"arm-{_letter(int(k))}" for name, k in zip(names, order, strict=True)}


def _letter(k: int) -> str:
    return chr(ord("A") + k) if k < 26 else f"{chr(ord('A') + k // 26 - 1)}{chr(ord('A') + k % 26)}"


def _cultures(protocol: Protocol, base: SessionConfig) -> list[Culture]:
    if protocol.cultures.recorded:
        return [_recorded(Path(name).expanduser().resolve()) for name in protocol.cultures.recorded]
    seeds = protocol.cultures.seeds
    numbers = (
        range(protocol.cultures.first_seed, protocol.cultures.first_seed + seeds) if isinstance(seeds, int) else seeds
    )
    seeded_apart = hasattr(base.source, "culture_seed")
    return [Culture(f"culture-{n}", (f"source.culture_seed={n}",) if seeded_apart else ()) for n in numbers]


def _recorded(path: Path) -> Culture:
    source = {"kind": "recorded", "path": str(path), "loop": True}
    return Culture(path.stem, (f"source={json.dumps(source)}",))


def _settings(protocol: Protocol, culture: Culture, layout: str, seed: int, arm: Arm) -> tuple[str, ...]:
    """Return what makes a session of the experiment out of the common one; the arm's own settings come last."""
    given = (f"seed={seed}", f"condition={arm.condition}")
    return (*given, *culture.settings, *protocol.layouts.variants[layout], *arm.set)


def _runs(
    protocol: Protocol, session: str, arms: Mapping[str, Arm], letters: Mapping[str, str], base: SessionConfig
) -> Iterator[PlannedRun]:
    """Yield all runs in a random order; what is checked here cannot be refused after hours."""
    from wetloop.config import parse_config

    cells = [
        (name, culture, layout, repeat, seed)
        for culture, layout, repeat, seed in _sessions(protocol, base)
        for name in arms
    ]
    order = seeded(protocol.seed, "experiment order").permutation(len(cells))
    for number, k in enumerate(order.tolist(), 1):
        name, culture, layout, repeat, seed = cells[k]
        config = parse_config(session, "session", _settings(protocol, culture, layout, seed, arms[name]))
        yield PlannedRun(f"run-{number:04d}", letters[name], culture.name, layout, repeat, seed, config_sha256(config))


def _sessions(protocol: Protocol, base: SessionConfig) -> Iterator[tuple[Culture, str, int, int]]:
    """Yield culture, layout, repeat and seed of the sessions that each arm has; all arms have the same seeds."""
    layouts, cultures = list(protocol.layouts.variants), _cultures(protocol, base)
    rng = seeded(protocol.seed, "experiment sessions")
    for (k, culture), repeat in product(enumerate(cultures), range(protocol.repeats)):
        turn = layouts if protocol.layouts.crossed else [layouts[(k + repeat) % len(layouts)]]
        for layout in turn:
            yield culture, layout, repeat, int(rng.integers(2**31))


def config_sha256(config: SessionConfig) -> str:
    """Return the hash of all that a session is, without where it is recorded."""
    told = config.model_dump(mode="json")
    return sha256({name: value for name, value in told.items() if name not in OF_THE_RUN})


def _tests(protocol: Protocol) -> list[str]:
    """Return in words what will be tested."""
    arms, primary, alpha = protocol.arms, protocol.metrics[0], protocol.alpha
    changes = "falls" if primary in FALLING else "changes"
    claim = f"The claim: {primary} {changes} more from the early to the late window in {arms.reference} than in "
    counted = protocol.windows.rallies
    fewer = [] if counted is None else [f"Counted: the first {counted} rallies of each run, in either window."]
    least = f"runs with fewer than {protocol.least_rallies} ended episodes in either window"
    return [
        "The unit is the culture: its runs in one arm and window are averaged first.",
        f"{claim}{arms.control}. {CLAIM_TEST}, alpha {alpha:g}, no correction, as it is one test.",
        EXPLORATORY_TESTS,
        f"Intervals: bias-corrected accelerated bootstrap, 95 %, {protocol.resamples} samples.",
        *fewer,
        f"Left out: runs that did not complete, and {least}.",
        f"Stopping rule: {protocol.stopping}.",
    ]
