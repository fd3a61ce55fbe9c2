"""What a person writes: which arms, cultures and layouts, what is measured, and how it will be tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from wetloop.config.document import Fault, compose_mapping, dotted, entry, plain, read_text, refusal
from wetloop.config.models import Duration, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import yaml

Metric = Literal[
    "rally_length",
    "log_rally",
    "aces_percent",
    "long_rallies_percent",
    "rallies_per_min",
    "paddle_per_s",
    "reward_per_min",
    "episode_s",
    "stimuli_to_criterion",
    "criterion_percent",
    "responses_percent",
    "proficient_percent",
    "on_target_percent",
]
"""What a session is measured by, in each window of time; ``metrics`` says how."""
FALLING: tuple[Metric, ...] = ("aces_percent", "stimuli_to_criterion")
"""Metrics that fall where something is learned."""

Instant = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=1e7, allow_inf_nan=False)]
Seeds = Annotated[int, Field(ge=1, le=10_000)] | tuple[Annotated[int, Field(ge=0)], ...]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Arm(_Section):
    """One experimental condition: a condition of the session, and settings of its own."""

    condition: str = "stimulus"
    """The session's ``condition``."""
    set: tuple[str, ...] = ()
    """Settings of this arm, each as after ``--set``: ``task.paddle=0.4``."""


class ArmsConfig(_Section):
    """What is compared with what."""

    conditions: tuple[str, ...] = ("stimulus", "yoked")
    """Conditions of the session that are arms as they are."""
    more: dict[str, Arm] = {}
    """Further arms, by name."""
    who_learns: bool = False
    """Add the arms that tell whether the cells learn: zero_spikes, poisson_spikes, shuffled_channels, plasticity
    blocked, and the replay of another culture where ``replay`` names one."""
    replay: str | None = None
    """Recording of another culture, for the arm ``replayed``; looked for here, then beside this file."""
    reference: str = "stimulus"
    """The arm in which learning is expected."""
    control: str = "yoked"
    """The arm that counts: same stimulation, no contingency. The claim is tested against it, and against it alone."""


class CulturesConfig(_Section):
    """Who plays. The culture is the unit of all statistics."""

    seeds: Seeds = 10
    """Simulated cultures: how many, or the seed of each."""
    first_seed: int = Field(1, ge=0)
    """Seed of the first one, where ``seeds`` is a number."""
    recorded: tuple[str, ...] = ()
    """Recordings to play instead of a culture, which cannot react; ``seeds`` then counts for nothing."""


class LayoutsConfig(_Section):
    """Layouts that are balanced over the arms: what one layout favours must not favour one arm."""

    variants: dict[str, tuple[str, ...]] = {"as_given": (), "mirrored": ("layout.flip=true",)}
    """Settings of each layout, by name."""
    crossed: bool = False
    """Every culture in every layout; by default each repeat of a culture has the next layout in turn, in all arms."""


class WindowsConfig(_Section):
    """The two spans of time that are compared; by default the first quarter and the rest (20 min: first 5, last 15)."""

    early: tuple[Instant, Duration] | None = None
    """Start and stop of the early window, s; may be written as 5min."""
    late: tuple[Instant, Duration] | None = None
    """Start and stop of the late window, s."""
    rallies: int | None = Field(None, ge=2)
    """Only so many first rallies (episodes) of each run count, and the windows end with the last of them: no arm has
    more to learn from. By default all count."""


class Published(_Section):
    """A number from a publication that is shown beside ours; it is never tested against."""

    arm: str
    """The arm to which it belongs."""
    metric: Metric
    """What was measured."""
    window: Literal["early", "late", "change"] = "late"
    """When."""
    value: float | None = None
    """The number; left out where only the direction is known."""
    says: str
    """What was found, in words, and of what (measured cultures, or a model)."""
    source: str
    """Publication, with its figure or page."""


class Protocol(_Section):
    """An experiment: arms x cultures x repeats, and everything that is fixed before the first run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the experiment, and of its folder."""
    question: str = ""
    """What it is to answer, in a sentence."""
    session: str | dict[str, Any]
    """The session of every run: a file, or the session's settings themselves."""
    set: tuple[str, ...] = ()
    """Settings of all runs, each as after ``--set``."""
    arms: ArmsConfig = ArmsConfig()
    """What is compared."""
    cultures: CulturesConfig = CulturesConfig()
    """Who plays."""
    repeats: int = Field(1, ge=1)
    """Sessions of each culture in each arm, with different games and noise: averaged, never counted as units."""
    layouts: LayoutsConfig = LayoutsConfig()
    """Layouts that are balanced over the arms."""
    windows: WindowsConfig = WindowsConfig()
    """Spans of time that are compared."""
    metrics: tuple[Metric, ...] = ("rally_length", "log_rally", "aces_percent", "long_rallies_percent", "paddle_per_s")
    """What is measured. The first is the primary one; all others are exploratory."""
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """Level of significance."""
    resamples: int = Field(9999, ge=99)
    """Permutations and bootstrap samples of each test and interval."""
    least_rallies: int = Field(1, ge=0)
    """A run with fewer ended episodes than this in either window tells nothing, and is left out."""
    stopping: Literal["all runs"] = "all runs"
    """When the experiment ends. Looking at results and going on until they please is no option."""
    seed: int = Field(1, ge=0, lt=2**31)
    """Seed of the order, the code names, the sessions and the resampling."""
    published: tuple[Published, ...] = ()
    """Numbers of others, shown beside ours."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for name in ("metrics", "published"):
            if len(set(map(str, getattr(self, name)))) < len(getattr(self, name)):
                raise ValueError(f"{name} names something twice")
        if not self.metrics or not self.layouts.variants:
            raise ValueError("at least one metric and one layout are needed")
        return self

    def windows_s(self, duration_s: float) -> dict[str, tuple[float, float]]:
        """Return start and stop of both windows in a session of this length, s."""
        early = self.windows.early or (0.0, duration_s / 4)
        return {"early": early, "late": self.windows.late or (early[1], duration_s)}


def read_protocol(path: Path) -> tuple[Protocol, str]:
    """Return a protocol and its text.

    Raises
    ------
    ConfigError
        Listing every fault as ``file:line:column: field: message``.
    """
    text = read_text(path)
    root, faults = compose_mapping(text, str(path)), list[Fault]()
    data = plain(root, faults)
    try:
        protocol = Protocol.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise refusal([*faults, *(_fault(root, each["loc"], each["msg"]) for each in found)]) from None
    if faults:
        raise refusal(faults)
    return protocol, text


def _fault(root: yaml.Node, loc: Sequence[int | str], message: str) -> Fault:
    """Return the fault at the deepest node on the way to a field."""
    node, mark = root, root.start_mark
    for part in loc:
        found = entry(node, str(part))
        if found is None:
            break
        mark, node = found[0].start_mark, found[1]
    return Fault(mark, dotted(loc), message[:1].lower() + message[1:])
