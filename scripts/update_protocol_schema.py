"""Writes the JSON schema of the control protocol beside its models; a test tells when that is due."""

import json
from pathlib import Path

from wetloop.server import protocol

path = Path(protocol.__file__).with_name("protocol.schema.json")
path.write_text(json.dumps(protocol.schema(), indent=2) + "\n")
print(path)
