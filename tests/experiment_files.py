"""What tests of experiments write and read: protocols, and the runs of a folder."""

import yaml

from wetloop.core import jsonl


def write_protocol(folder, told):
    """Write a protocol, and return its path."""
    path = folder / "protocol.yaml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


def run_rows(folder):
    """Return what is known of each finished run by its code, but for how long it took."""
    found = {row.pop("code"): row for row in jsonl.rows(folder / "runs.jsonl")}
    assert all(row.pop("wall_s") > 0 for row in found.values())
    return found
