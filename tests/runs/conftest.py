"""A workbench with the tiny model, and a sweep of it that takes a few seconds."""

import pytest

from unedit_gui.forget.questions import Question
from unedit_gui.workbench import Workbench

FORGET = (
    Question("What is the capital of France?", "Paris", "France", ("France has which capital?",)),
    Question("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa"),
    Question("What is the capital of Japan?", "Tokyo", "Japan"),
)
RETAIN = (Question("What is the capital of Spain?", "Madrid", "Spain"), Question("Which planet is red?", "Mars"))
QUICK = {"memit": {"steps": 2, "contexts": 1}, "grace": {"steps": 2}}
SWEEP = {
    "methods": ["memit", "grace"],
    "targets": ["vanilla", "dummy"],
    "facts": [2],
    "questions": FORGET,
    "known": False,
    "retain": RETAIN,
    "retain_facts": 2,
    "hparams": QUICK,
    "name": "small",
}


@pytest.fixture
def bench(tmp_path, tiny_model):
    bench = Workbench(tmp_path / "home")
    bench.model = tiny_model
    return bench


@pytest.fixture(scope="module")
def swept(tmp_path_factory, tiny_model):
    """A workbench with a finished sweep in it, and what became of its runs; for tests that don't change it."""
    bench = Workbench(tmp_path_factory.mktemp("swept") / "home")
    bench.model = tiny_model
    bench.outcomes = bench.sweep(SWEEP)
    return bench
