"""Step 1, without a browser: what is said about the model in use."""

from tests.models.tiny import bytes_tokenizer, tiny_family
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
