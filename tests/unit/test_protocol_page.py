"""The page about the protocols names everything there is, and its examples are valid."""

import re
from pathlib import Path
from typing import get_args

from wetloop.net.messages import RefusalKind, read_asked, read_told
from wetloop.server.protocol import BODIES, Kind, Reply, read_request
from wetloop.server.topics import MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
WORDS = set(re.findall(r"`([^`]+)`", PAGE))


def test_every_command_error_and_topic_is_explained():
    assert set(BODIES) | set(get_args(Kind)) | set(get_args(RefusalKind)) | set(MODELS) <= WORDS
    columns = {name for model in MODELS.values() if "lost" in model.model_fields for name in model.model_fields}
    assert columns - {"seq", "lost"} <= WORDS


def test_the_examples_are_messages():
    said = dict.fromkeys(("session", "program"), 0)
    for who, message in re.findall(r"^    (session|program) +(.*)$", PAGE, re.MULTILINE):
        read = read_asked if who == "session" else read_told
        assert read(message.replace("...", "").encode())
        said[who] += 1
    assert said == {"session": 4, "program": 3}
    request, *replies = re.findall(r'^    (\{"version".*)$', PAGE, re.MULTILINE)
    assert read_request(request.encode())[0].command == "start"
    assert [Reply.model_validate_json(reply).ok for reply in replies] == [True, False]
