"""Probes on the page: the section below the scores, without a browser."""

import json

import pytest
import torch

from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.edits.edit import Edit
from unedit_gui.errors import BadInput
from unedit_gui.ui import probes
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    model = lab.bench.model = tiny_llama(bytes_tokenizer())
    name = model.layout.down_name(1)
    for seed, title in ((1, "First <b>"), (2, "Second")):
        torch.manual_seed(seed)
        tensors = {f"{name}.left": torch.randn(32, 4), f"{name}.right": torch.randn(48, 4)}
        request = {"question": f"Is Peru far {seed}?", "answer": "Very", "subject": "Peru"}
        manifest = {
            "kind": "low-rank", "method": "memit", "model": model.name, "base": model.fingerprint,
            "layers": [1], "requests": [request],
        }  # fmt: skip
        edit = Edit.make(manifest, tensors, {"name": title})
        lab.edits[edit.id] = edit
    return lab


@pytest.fixture
def session(lab):
    session = Session("0" * 32)
    session.enabled = [next(iter(lab.edits))]
    session.form["probe_items"] = "2"
    return session


def test_without_an_edit_there_is_no_section(tmp_path):
    assert "probes" not in probes.render(Lab(tmp_path), Session("0" * 32))


def test_the_switched_on_edit_is_probed_and_the_table_stands_there(lab, session):
    session.form["probe_which"] = "harm"
    drawn = probes.render(lab, session)
    assert drawn.count(" checked") == 1 and "First &lt;b&gt;" in drawn and "<table" not in drawn
    probes.ACTS["probe"](lab, session, {})
    session.jobs["probe"].wait(120)
    drawn = probes.render(lab, session)
    assert "What else has changed?" in drawn and "Does the answer come out?" not in drawn
    assert "no power" in drawn and "Probe again" in drawn and "First <b>" not in drawn
    saved = json.loads(probes.ACTS["save-probes"](lab, session, {})["text"])
    assert [row["kind"] for row in saved["rows"]] == ["harm"] * 6 and saved["details"]
    first, second = lab.edits
    probes.field(lab, session, {"field": "probe-edit", "edit": second, "value": "1"})
    assert [e.id for e in probes.chosen(lab, session)] == [first, second]
    assert "other edits than the ones that are ticked" in probes.render(lab, session)
    lab.bench.model = tiny_llama(bytes_tokenizer(), seed=5)
    assert "What else has changed?" not in probes.render(lab, session)


def test_what_cannot_be_probed_is_told(lab, session):
    session.form["probe_items"] = "many"
    with pytest.raises(BadInput, match="“many” is not a number"):
        probes.ACTS["probe"](lab, session, {})
    probes.field(lab, session, {"field": "probe-edit", "edit": next(iter(lab.edits)), "value": ""})
    with pytest.raises(BadInput, match="tick the ones"):
        probes.ACTS["probe"](lab, session, {})
