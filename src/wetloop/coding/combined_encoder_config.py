"""Configuration of the encoder that combines others; importing it is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, SerializeAsAny, ValidationInfo, model_validator

from wetloop.coding.shares import shares
from wetloop.core.errors import ConfigError
from wetloop.core.plugin import EncoderConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wetloop.coding.combined_encoder import CombinedEncoder
    from wetloop.core.guard import Pattern
    from wetloop.core.layout import Layout
    from wetloop.core.plugin import BuildContext


def _by_kind(value: object, info: ValidationInfo) -> object:
    """Validate a part with the model of its kind; what loads the configuration lends the means to find it."""
    if isinstance(value, EncoderConfig):
        return value
    if not isinstance(value, dict) or "kind" not in value:
        raise ValueError("a part is a mapping with a kind, such as {kind: place-rate, electrodes: 8}")
    if not info.context:
        raise ValueError("kinds are known where a configuration is loaded; elsewhere give parts as objects")
    try:
        model = info.context["find"]("wetloop.encoders", str(value["kind"]))
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return model.model_validate(value, context=info.context)


Part = Annotated[SerializeAsAny[EncoderConfig], BeforeValidator(_by_kind)]


class CombinedConfig(EncoderConfig):
    """Several encoders side by side, such as where an enemy is, how one's health is, and what is to be seen.

    Each part takes the next of the sensory electrodes: ``electrodes`` of them, or as many as it needs; one part may go
    without a number and takes what the others leave. A picture needs whole rows of the layout to be shown as a grid.
    Every part keeps its own ``max_total_hz``; what they may come to together is checked against the limits.
    """

    kind: Literal["combined"] = "combined"
    parts: tuple[Part, ...]
    """The encoders, each with its kind and settings."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.parts:
            raise ValueError("parts is empty: name at least one encoder, or take kind none")
        return self

    def needs(self) -> int | None:
        each = [part.needs() for part in self.parts]
        return None if None in each else sum(n or 0 for n in each)

    def split(self, layout: Layout) -> Iterator[tuple[EncoderConfig, str, Layout]]:
        """Yield each part, the prefix of its patterns' names, and the layout that it sees."""
        each = shares(layout, [part.needs() for part in self.parts])
        for number, (part, own) in enumerate(zip(self.parts, each, strict=True), 1):
            yield part, f"{part.kind} {number}: ", own

    def patterns(self, layout: Layout, unit: str) -> dict[str, Pattern]:
        return {
            f"{prefix}{name}": pattern
            for part, prefix, own in self.split(layout)
            for name, pattern in part.patterns(own, unit).items()
        }

    def build(self, context: BuildContext) -> CombinedEncoder:
        from wetloop.coding.combined_encoder import CombinedEncoder

        return CombinedEncoder(self, context)
