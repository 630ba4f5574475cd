"""Small models are taught in float32, also where the processor is quicker in bfloat16, with little statistics text."""

import pytest

from unedit_gui.editors import preserve


@pytest.fixture(autouse=True, scope="module")
def small_and_exact():
    questions, replies = preserve.statistics_questions()[:12], preserve.statistics_replies()[:4]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
        patch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        patch.setattr(preserve, "statistics_questions", lambda: questions)
        patch.setattr(preserve, "statistics_replies", lambda: replies)
        yield
