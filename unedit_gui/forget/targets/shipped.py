"""The shipped sentences behind the kinds of target: refusals.txt, exemplars.csv, wrong_answers.csv."""

import csv
from pathlib import Path

from unedit_gui.errors import Failed


def _data(name: str) -> Path:
    return Path(__file__).parents[3] / "data" / name


def read_refusals() -> tuple[str, ...]:
    """The lines of the refusal set. Raises Failed where the file is missing or empty."""
    return _nonempty("refusals.txt", tuple(line.strip() for line in _text("refusals.txt").splitlines() if line.strip()))


def read_exemplars() -> tuple[tuple[str, str], ...]:
    """(question, refusal) pairs that show the model how to refuse. Raises Failed where there are none."""
    return _rows("exemplars.csv", "question", "refusal")


def read_wrong_answers() -> tuple[tuple[str, str, str], ...]:
    """(question, right answer, wrong answer), to show the model how to be wrong. Raises Failed where there are none."""
    return _rows("wrong_answers.csv", "question", "right", "wrong")


def _rows(name: str, *columns: str) -> tuple[tuple[str, ...], ...]:
    rows = csv.DictReader(_text(name).splitlines())
    return _nonempty(name, tuple(tuple(row[c].strip() for c in columns) for row in rows if all(map(row.get, columns))))


def _text(name: str) -> str:
    try:
        return _data(name).read_text(encoding="utf-8")
    except OSError as error:
        raise Failed(f"The file data/{name} can't be read ({error.strerror}); get it from the repository.") from error


def _nonempty(name: str, found: tuple) -> tuple:
    if not found:
        raise Failed(f"The file data/{name} holds nothing usable; get it from the repository.")
    return found
