"""The question sets that come with the program, in the folder `data`."""

from pathlib import Path

from ..errors import Failed
from .questions import Question, read_file

DATA = Path(__file__).resolve().parents[2] / "data"
SETS = {
    "factual": "factual.csv",
    "general": "general.csv",
    "example": "example.csv",
    "example retain": "example_retain.csv",
}


def question_sets() -> dict[str, tuple[Question, ...]]:
    """The sets that are there, by name."""
    return {name: read_file(DATA / file).questions for name, file in SETS.items() if (DATA / file).is_file()}


def example() -> tuple[list[Question], list[Question]]:
    """The one-click example: (questions to forget, questions to retain)."""
    sets = question_sets()
    if not {"example", "example retain"} <= set(sets):
        raise Failed(f"The example's questions are missing from {DATA}; fetch the program again.")
    return list(sets["example"]), list(sets["example retain"])
