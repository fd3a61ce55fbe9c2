"""The configuration of a session: YAML in, one validated object out, or every fault at once with its line."""

from wetloop.config.loading import from_json, load_config, parse_config, to_json, to_yaml
from wetloop.config.models import (
    GuardConfig,
    RecordingConfig,
    RigConfig,
    SessionConfig,
    SubjectConfig,
)

__all__ = [
    "GuardConfig",
    "RecordingConfig",
    "RigConfig",
    "SessionConfig",
    "SubjectConfig",
    "from_json",
    "load_config",
    "parse_config",
    "to_json",
    "to_yaml",
]
