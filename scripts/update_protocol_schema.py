"""Writes the JSON schemas of all messages beside their models; a test tells when that is due."""

import json
from pathlib import Path

from wetloop.net import messages
from wetloop.server import protocol, topics

for module, name in ((protocol, "protocol"), (topics, "telemetry"), (messages, "remote")):
    path = Path(module.__file__).with_name(f"{name}.schema.json")
    path.write_text(json.dumps(module.schema(), indent=2) + "\n")
    print(path)
