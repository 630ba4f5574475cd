"""What tests of the page without a browser share; a file that needs another lab makes its own."""

import pytest

from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.ui.lab import Lab


@pytest.fixture
def lab(tmp_path):
    """A lab with a tiny random model, which writes noise."""
    lab = Lab(tmp_path)
    lab.bench.model = tiny_llama(bytes_tokenizer())
    return lab
