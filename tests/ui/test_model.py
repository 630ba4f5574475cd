"""Step 1, without a browser: what is said about the model in use."""

import threading
from types import SimpleNamespace

import pytest

from tests.models.tiny import bytes_tokenizer, tiny_family
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job
from unedit_gui.ui import model
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


def test_a_model_without_a_chat_template_is_said_to_be_asked_plainly(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    lab.bench.model = tiny_family("gpt2", bytes_tokenizer())
    assert "plain format" not in model.render(lab, session)
    tokenizer = bytes_tokenizer()
    tokenizer.chat_template = None
    lab.bench.model = tiny_family("gpt2", tokenizer)
    assert "no chat template: plain format" in model.render(lab, session)


def test_a_taught_model_that_waits_to_be_loaded_is_not_deleted(tmp_path, monkeypatch):
    lab, session = Lab(tmp_path), Session("0" * 32)
    mine = SimpleNamespace(folder="taught/mine", name="Mine")
    monkeypatch.setattr(lab.bench, "taught", lambda name=None: mine if name in ("taught/mine", "Mine") else None)
    monkeypatch.setattr(lab.bench, "delete_taught", lambda name: pytest.fail("deleted"))
    free = threading.Event()
    lab.worker.submit("edit", "Something long", lambda job: free.wait(60))
    for name in ("taught/mine", "bundled"):  # the later one does not take the other's place
        session.form["model"] = name
        model.ACTS["load"](lab, session, {})
    session.form["model"] = "taught/mine"
    with pytest.raises(BadInput, match="Mine is being loaded, or waits for it"):
        model.ACTS["delete-taught"](lab, session, {})
    for job in lab.worker.waiting():
        job.stop()
    free.set()
    lab.worker.close(timeout=5)


def test_the_example_says_which_model_it_runs_on(tmp_path, monkeypatch):
    lab, session = Lab(tmp_path), Session("0" * 32)
    assert "on the bundled model" in model.render(lab, session)
    lab.bench.model = tiny_family("gpt2", bytes_tokenizer())
    drawn = model.render(lab, session)
    assert f"every step on {lab.bench.model.card.label};" in drawn and "on the bundled model" not in drawn
    monkeypatch.setattr(type(lab), "busy_loading", True)
    monkeypatch.setattr(lab, "loading", Job("load"))
    assert "on the bundled model" in model.render(lab, session)  # which it waits for
