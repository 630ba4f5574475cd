"""Reading files of questions, and what is said about them."""

import json

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import read_file


@pytest.fixture
def read(tmp_path):
    """Read what is given as a file: text (UTF-8), bytes, or a value to be written as JSON."""

    def read(content, name="questions.txt"):
        path = tmp_path / name
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode("utf-8")
        path.write_bytes(content)
        return read_file(path)

    return read


def reasons(reading):
    return [str(problem) for problem in reading.problems]


def refused(read, content, *parts):
    """The message that a file is refused with: one line that begins with the file's name."""
    with pytest.raises(BadInput) as caught:
        read(content)
    message = str(caught.value)
    assert message.startswith("questions.txt ") and message.endswith(".") and "\n" not in message
    for part in parts:
        assert part in message, message
    return message
