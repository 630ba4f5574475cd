"""A preset: with what the page begins a presentation. A small YAML file, strictly checked.

    title: Three methods, three facts
    model: bundled                  # what --model takes
    view: columns                   # panes, columns or duel
    columns:                        # beside the original: an edit by name or id, or several as a list
      - ready-alphaedit
      - [ready-rome, ready-memit]
    questions:                      # in their order; the answer may be left out
      - question: Who painted the Mona Lisa?
        answer: Leonardo da Vinci
    language: de                    # of the page's own words: en or de; left out: the browser's
    projector: false                # begin in large type, without controls

In two panes all `columns` together are the edited model; in a duel the first two are the sides, where `original` is one
too. Everything may be left out. The page takes presets by name only (`?preset=NAME`): from the workspace, and those
that ship with the program. A name is never a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .. import plain_yaml
from ..errors import BadInput

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "presets"
VIEWS = ("panes", "columns", "duel")
LANGUAGES = ("", "en", "de")
LARGEST = 100_000  # bytes
MOST_QUESTIONS, LONGEST = 100, 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FIELDS = ("title", "model", "view", "columns", "questions", "language", "projector")


@dataclass(frozen=True)
class Preset:
    """See the module's text. `columns`: tuples of names of edits; `questions`: (question, answer)."""

    title: str = ""
    model: str = "bundled"
    view: str = "columns"
    columns: tuple[tuple[str, ...], ...] = ()
    questions: tuple[tuple[str, str], ...] = ()
    language: str = ""
    projector: bool = False

    def to_yaml(self) -> str:
        """As `read` takes it."""
        value = {
            "title": self.title,
            "model": self.model,
            "view": self.view,
            "columns": [names[0] if len(names) == 1 else list(names) for names in self.columns],
            "questions": [{"question": q, "answer": a} if a else {"question": q} for q, a in self.questions],
            "projector": self.projector,
        }
        if self.language:
            value["language"] = self.language
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def checked_name(name: str, what: str = "preset") -> str:
    """The name, if a preset (or `what` else is kept by name) can be called so: never a path. BadInput otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        shown = str(name)[:60]
        raise BadInput(f"{shown!r} is no {what}'s name; use small letters, digits, - and _, at most 64 of them.")
    return name


def read(text: bytes | str, name: str = "the preset") -> Preset:
    """A preset from its file's content. BadInput, naming the field, for everything that isn't as it should be."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(raw) > LARGEST:
        raise BadInput(f"{name} is too large for a preset ({len(raw):,} bytes; {LARGEST:,} are allowed).")
    try:
        value = plain_yaml.load(raw.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is no UTF-8 text.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        raise BadInput(f"{name} is no YAML{f', see line {where.line + 1}' if where else ''}.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{name} holds no fields; write them as `view: columns`, one a line.")
    if unknown := [str(key) for key in value if key not in _FIELDS]:
        raise BadInput(f"{name} has the unknown field {unknown[0][:60]!r}; known are {', '.join(_FIELDS)}.")
    return Preset(
        title=_text(value, "title", name, ""),
        model=_text(value, "model", name, "bundled"),
        view=_one_of(value, "view", VIEWS, name, "columns"),
        columns=_columns(value, name),
        questions=_questions(value, name),
        language=_one_of(value, "language", LANGUAGES, name, ""),
        projector=_flag(value, "projector", name),
    )


def _text(value: Mapping[str, Any], field: str, name: str, default: str) -> str:
    found = value.get(field, default)
    if not isinstance(found, str) or len(found) > LONGEST or re.search(r"[\0-\x08\x0b-\x1f\ud800-\udfff]", found):
        raise BadInput(f"{name}: {field} must be a text of at most {LONGEST:,} characters.")
    return found.strip()


def _one_of(value: Mapping[str, Any], field: str, allowed: tuple[str, ...], name: str, default: str) -> str:
    found = value.get(field, default)
    if found not in allowed:
        raise BadInput(f"{name}: {field} must be one of {', '.join(filter(None, allowed))}, not {str(found)[:60]!r}.")
    return found


def _flag(value: Mapping[str, Any], field: str, name: str) -> bool:
    found = value.get(field, False)
    if not isinstance(found, bool):
        raise BadInput(f"{name}: {field} must be true or false, not {str(found)[:60]!r}.")
    return found


def _columns(value: Mapping[str, Any], name: str) -> tuple[tuple[str, ...], ...]:
    given = value.get("columns", [])
    rows = [[row] if isinstance(row, str) else row for row in given] if isinstance(given, list) else None
    texts = rows is not None and all(
        isinstance(row, list) and row and all(isinstance(e, str) and 0 < len(e.strip()) <= 200 for e in row)
        for row in rows
    )
    if not texts or len(rows) > 5:
        raise BadInput(f"{name}: columns must be a list of at most 5 edits' names (or lists of names).")
    return tuple(tuple(edit.strip() for edit in row) for row in rows)


def _questions(value: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    given = value.get("questions", [])
    if not isinstance(given, list) or len(given) > MOST_QUESTIONS:
        raise BadInput(f"{name}: questions must be a list of at most {MOST_QUESTIONS}.")
    found = []
    for number, item in enumerate(given, 1):
        where = f"{name}, question {number}"
        item = {"question": item} if isinstance(item, str) else item
        if not isinstance(item, dict) or not set(item) <= {"question", "answer"}:
            raise BadInput(f"{where}: give `question` and, if there is one, `answer`.")
        question, answer = (" ".join(_text(item, field, where, "").split()) for field in ("question", "answer"))
        if not question:
            raise BadInput(f"{where} is empty.")
        found.append((question, answer))
    return tuple(found)
