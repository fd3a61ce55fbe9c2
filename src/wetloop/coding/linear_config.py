"""Configuration of the linear decoder, and the weights that ``wetloop fit-decoder`` writes for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from wetloop.coding.decoder_config import Number
from wetloop.core.plugin import DecoderConfig

if TYPE_CHECKING:
    from wetloop.coding.linear import LinearDecoder
    from wetloop.core.plugin import BuildContext

MAX_BYTES = 64 << 20
Numbers = tuple[Number, ...]


class LinearWeights(BaseModel):
    """A fitted linear map from smoothed rates to outputs, and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    target: str
    """What was fitted: ``action``, or an observation as a standard score."""
    outputs: tuple[str, ...] = Field(min_length=1)
    """Names of the outputs."""
    channels: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    """Channels whose rates go in."""
    smoothing_ms: float = Field(gt=0, allow_inf_nan=False)
    """Time constant of the rates, ms."""
    lags: int = Field(ge=1, le=1000)
    """Points in time at which rates go in, the newest first."""
    lag_ms: float = Field(ge=0, le=3_600_000, allow_inf_nan=False)
    """How far apart they lie, ms."""
    alpha: float = Field(gt=0, allow_inf_nan=False)
    """Ridge penalty on the weights of standardised rates."""
    decisions: int = Field(ge=1)
    """Decisions in play that were fitted."""
    folds: int = Field(ge=2)
    """Blocks of time of the cross-validation."""
    held_out_r2: Numbers
    """Share of each output's variance that was predicted in blocks that were not fitted; below 0 is worse than a
    constant."""
    recordings: tuple[str, ...] = Field(min_length=1)
    """Identifiers of the recordings that were fitted."""
    intercept: Numbers
    """Value of each output at rate 0."""
    weights: tuple[Numbers, ...]
    """For each output, its weight per Hz on each channel, for one lag after the other."""
    sha256: str = ""
    """Digest of everything above."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        n, width = len(self.outputs), self.lags * len(self.channels)
        lengths = {len(self.intercept), len(self.weights), len(self.held_out_r2)}
        if lengths != {n} or {len(row) for row in self.weights} != {width}:
            raise ValueError(
                f"weights, intercept and held_out_r2 must have {n} entries (one per output), and each row of weights "
                f"{width} values ({self.lags} lags of {len(self.channels)} channels): fit the decoder again"
            )
        return self

    def digest(self) -> str:
        """Return the SHA-256 of everything but ``sha256`` itself."""
        text = json.dumps(self.model_dump(mode="json", exclude={"sha256"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def signed(self) -> LinearWeights:
        """Return the same weights with their digest."""
        return self.model_copy(update={"sha256": self.digest()})


def loaded(value: object) -> Any:
    """Return the contents of a file of weights; weights themselves pass through."""
    if not isinstance(value, str):
        return value
    path = Path(value)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{value} is larger than {MAX_BYTES >> 20} MiB: it is no file of wetloop fit-decoder")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{value} cannot be read ({error.strerror}): give a file of wetloop fit-decoder") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{value} is not JSON: give a file of wetloop fit-decoder") from error


class LinearConfig(DecoderConfig):
    """Linear combination of smoothed channel rates, fitted to recordings by ``wetloop fit-decoder``."""

    kind: Literal["linear"] = "linear"
    weights: Annotated[LinearWeights, BeforeValidator(loaded)]
    """File of weights; a recording holds the weights themselves, so that it replays without the file."""

    @model_validator(mode="after")
    def _unchanged(self) -> Self:
        if self.weights.sha256 != self.weights.digest():
            raise ValueError(
                "weights do not match their sha256: they were changed after the fit; fit the decoder again"
            )
        return self

    def gives_scores(self) -> bool:
        return len(self.weights.outputs) > 1

    def fitted(self) -> bool:
        return True

    def build(self, context: BuildContext) -> LinearDecoder:
        from wetloop.coding.linear import LinearDecoder

        return LinearDecoder(self.weights, context)
