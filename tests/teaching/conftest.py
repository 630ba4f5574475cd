"""Small models are taught in float32, also where the processor is quicker in bfloat16."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def full_precision():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
        patch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        yield
