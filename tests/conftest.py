"""Fixtures shared by all tests: the real bundled model, and tiny random ones."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads than free cores spin and cost a factor of ten
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest

_CACHE = Path(__file__).parents[1] / ".work" / "models"  # the bundled model is converted once, not per run
os.environ.setdefault("UNEDIT_MODELS", str(_CACHE))


def pytest_sessionstart(session):
    """Where several processes run the tests, the bundled model is converted before they start, not by each at once."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        from unedit_gui.models.loading import load
        from unedit_gui.workspace import Workspace

        load("bundled", Workspace(_CACHE.parent / "home"), device="cpu")


@pytest.fixture(scope="session")
def real_model(tmp_path_factory):
    """The bundled SmolLM2-135M-Instruct, loaded once for the whole run."""
    import torch

    from unedit_gui.models.loading import load
    from unedit_gui.workspace import Workspace

    torch.set_num_threads(1)
    return load("bundled", Workspace(tmp_path_factory.mktemp("home")), device="cpu")


@pytest.fixture(scope="session")
def tiny_model(real_model):
    """A random Llama of 4 small layers with the bundled model's tokenizer, as a LoadedModel: for equations, not for
    answers."""
    from tests.models.tiny import tiny_llama

    return tiny_llama(real_model.tokenizer)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, tiny_model):
    """A folder with a small model, question files and one edit, and a home beside them: for the command line."""
    from tests.commands import fill

    return fill(tmp_path_factory.mktemp("cli"), tiny_model)
