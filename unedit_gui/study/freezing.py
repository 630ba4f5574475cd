"""Replies before the study: written by the models once, or read from a file, and never again.

Each batch is stored before the next is begun, so that a crash costs one batch and the same call goes on from there.
Nothing here knows a model: whoever has one passes `write`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job

from .protocol import Condition
from .store import Study

COLUMNS = ("question", "condition", "reply")
HERE = "written here"
NOTHING = "(There was no reply.)"  # what participants judge where a model said nothing

Write = Callable[[Sequence[str], Condition], Sequence[str]]


def freeze(
    study: Study,
    write: Write,
    batch: int = 8,
    job: Job | None = None,
    sources: Mapping[str, str] | None = None,
) -> int:
    """Freeze what is missing; `write(questions, condition)` gives the replies. Returns how many were added.

    sources: what writes, by condition: it is noted with each reply. BadInput where a condition's replies were begun
    by something else (an edit that was made anew under the same name): half a condition each is no condition.
    """
    job = job or Job("freeze")
    conditions = {condition.name: condition for condition in study.protocol.conditions}
    missing, sources = study.missing(), sources or {}
    for name in dict.fromkeys(name for _, name in missing):
        if others := study.sources(name) - {sources.get(name, HERE)}:
            raise BadInput(
                f"Some replies of {name!r} are frozen already, from {min(others)}; the rest would be from "
                f"{sources.get(name, HERE)}. Use the same, or begin again with `study create --replace`."
            )
    job.progress("Writing replies", 0, len(missing))
    done = 0
    for name, pairs in groupby(missing, key=lambda pair: pair[1]):
        questions = [question for question, _ in pairs]
        for start in range(0, len(questions), batch):
            part = questions[start : start + batch]
            replies = write(part, conditions[name])
            rows = [(q, name, reply.strip() or NOTHING) for q, reply in zip(part, replies, strict=True)]
            study.add_replies(rows, sources.get(name, HERE))
            done += len(part)
            job.progress("Writing replies", done, len(missing))
            job.breathe()
    return done


def from_csv(study: Study, path: Path | str) -> int:
    """Freeze the replies of a CSV file with the columns `question`, `condition`, `reply`; all of them or none."""
    return study.add_replies(read_csv(path), Path(path).name)


def read_csv(path: Path | str) -> list[tuple[str, str, str]]:
    """The rows (question, condition, reply) of a CSV file."""
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path.name} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8 text; save it as such.") from error
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise BadInput(f"{path.name} is no CSV file ({error}).") from error
    if not rows or any(name not in rows[0] for name in COLUMNS):
        raise BadInput(f"{path.name} needs the columns {', '.join(COLUMNS)}, and a row for each reply.")
    for number, row in enumerate(rows, 2):
        if any(row[name] is None for name in COLUMNS):
            raise BadInput(f"{path.name}, row {number}: there are too few cells.")
    return [tuple(row[name].strip() for name in COLUMNS) for row in rows]
