"""A recording: what up to six variants said to a few questions, with the pace at which their text came.

It is played again without a model, and always labelled as what it is. A file may come from elsewhere, so that
everything in it is checked: kinds, lengths, and that times and counts only grow.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import BadInput

FORMAT = 1
LARGEST = 5_000_000  # bytes
MOST_COLUMNS, MOST_QUESTIONS, LONGEST = 6, 200, 20_000
_UNSEEN = re.compile(r"[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Said:
    """One variant's reply. `pace`: (seconds since the question, characters that were there by then), growing."""

    text: str
    pace: tuple[tuple[float, int], ...] = ()
    traces: tuple[str, ...] = ()

    def at(self, seconds: float) -> str:
        """The text as far as it was there after so many seconds."""
        if not self.pace or seconds >= self.pace[-1][0]:
            return self.text
        return self.text[: max((count for when, count in self.pace if when <= seconds), default=0)]


@dataclass(frozen=True)
class Asked:
    """One question with a reply per column."""

    question: str
    replies: tuple[Said, ...]
    answer: str = ""

    @property
    def seconds(self) -> float:
        """How long the replies took."""
        return max((said.pace[-1][0] for said in self.replies if said.pace), default=0.0)


@dataclass(frozen=True)
class Recording:
    """See the module's text. `recorded`: ISO 8601, UTC."""

    recorded: str
    model: str
    columns: tuple[str, ...]
    questions: tuple[Asked, ...]

    @property
    def date(self) -> str:
        """The day on which it was recorded."""
        return self.recorded[:10]

    def to_json(self) -> str:
        """As `read` takes it."""
        questions = [
            {
                "question": asked.question,
                "answer": asked.answer,
                "replies": [
                    {"text": said.text, "pace": [[round(t, 3), n] for t, n in said.pace], "traces": list(said.traces)}
                    for said in asked.replies
                ],
            }
            for asked in self.questions
        ]
        value = {"format": FORMAT, "recorded": self.recorded, "model": self.model, "columns": list(self.columns)}
        return json.dumps({**value, "questions": questions}, ensure_ascii=False, indent=1) + "\n"


def read(content: bytes | str, name: str = "the recording") -> Recording:
    """A recording from its file's content. BadInput, in one sentence, for everything that isn't as it should be."""
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    if len(raw) > LARGEST:
        raise BadInput(f"{name} is too large for a recording ({len(raw):,} bytes; {LARGEST:,} are allowed).")
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} is no recording: it holds no JSON.") from error
    try:
        return _recording(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{name} is no recording, or was changed: {_what(error)}.") from error


def _what(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)[:200]


def _recording(value: Any) -> Recording:
    if value["format"] != FORMAT:
        raise ValueError(f"its format is {str(value['format'])[:20]}, not {FORMAT}")
    recorded = _text(value["recorded"], "recorded")
    datetime.fromisoformat(recorded)
    columns = tuple(_text(name, "a column's name") for name in _list(value["columns"], MOST_COLUMNS, "columns"))
    questions = tuple(_asked(item, len(columns)) for item in _list(value["questions"], MOST_QUESTIONS, "questions"))
    if not columns or not questions:
        raise ValueError("it holds no columns or no questions")
    return Recording(recorded, _text(value["model"], "model"), columns, questions)


def _asked(value: Any, columns: int) -> Asked:
    replies = _list(value["replies"], MOST_COLUMNS, "replies")
    if len(replies) != columns:
        raise ValueError(f"a question has {len(replies)} replies for {columns} columns")
    question = _text(value["question"], "a question")
    return Asked(question, tuple(map(_said, replies)), _text(value.get("answer", ""), "an answer"))


def _said(value: Any) -> Said:
    text, last = _text(value["text"], "a reply"), (0.0, 0)
    pace = []
    for when, count in _list(value["pace"], LONGEST, "pace"):
        good = isinstance(when, int | float) and not isinstance(when, bool)  # NaN fails below
        if not good or type(count) is not int or not (last[0] <= when <= 3600 and last[1] <= count <= len(text)):
            raise ValueError("the pace of a reply does not grow from its beginning to its end")
        last = (float(when), count)
        pace.append(last)
    traces = tuple(_text(trace, "a trace") for trace in _list(value.get("traces", []), 20, "traces"))
    return Said(text, tuple(pace), traces)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or _UNSEEN.search(value):
        raise ValueError(f"{what} is no text, or too long")
    return value


def _list(value: Any, most: int, what: str) -> list:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{what} is no list of at most {most}")
    return value


def paced(text: str, pace: list[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """A pace as it was seen, made to grow: the end of a reply may be shorter than what was there before."""
    found, most = [], 0
    for when, count in pace:
        most = max(most, min(count, len(text)))
        found.append((when, most))
    return tuple(found)
