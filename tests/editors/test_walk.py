"""A walk over the layers reads what reading from the tokens each time gives, and runs fewer blocks for it."""

import weakref

import pytest
import torch

from tests.editors.conftest import REQUESTS
from tests.models.tiny import CONFIGS, bytes_tokenizer, tiny_family
from unedit_gui.editors import walk as walking
from unedit_gui.editors.locate import places
from unedit_gui.editors.spread import applied
from unedit_gui.editors.walk import Walk, keys_and_outputs
from unedit_gui.models.layout import blocks_of

LAYERS = (0, 1, 3)


def flat(model, contexts=3):
    return [spot for row in places(model, REQUESTS, contexts) for spot in row]


def factors(model, layer, size=0.3):
    torch.manual_seed(layer)
    return size * torch.randn(model.layout.d_model, 2), size * torch.randn(model.layout.d_mlp, 2)


@pytest.mark.parametrize("family", sorted(CONFIGS))
@pytest.mark.parametrize("keep", [walking.KEEP, 4000, 0])  # all states, those of some batches, none
def test_what_is_read_while_layers_change_is_what_reading_anew_gives(monkeypatch, family, keep):
    monkeypatch.setattr(walking, "KEEP", keep)
    model = tiny_family(family, bytes_tokenizer(), attentive=True)
    spots, changed = flat(model), {}
    walk = Walk(model, spots, batch_size=4)
    for layer in LAYERS:
        with applied(model, changed):
            keys, outputs = walk.read([layer, 3], [layer, 3], changes=layer)
            plain_keys, plain_outputs = keys_and_outputs(model, spots, [layer, 3], batch_size=4)
        for at in (layer, 3):
            torch.testing.assert_close(keys[at].double(), plain_keys[at], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(outputs[at].double(), plain_outputs[at], rtol=1e-4, atol=1e-5)
        changed[layer] = factors(model, layer)


def test_a_reading_starts_at_the_layer_that_has_changed(small):
    walk, seen = Walk(small, flat(small)), []
    handles = [
        block.register_forward_hook(lambda *_, layer=layer: seen.append(layer))
        for layer, block in enumerate(blocks_of(small.hf, small.layout))
    ]
    try:
        for layer in (1, 2):
            walk.read([layer, 3], [layer, 3], changes=layer)
            first, seen[:] = min(seen), []
            assert first == (0 if layer == 1 else 1)  # block 1 may have been changed after the first reading
    finally:
        for handle in handles:
            handle.remove()


def test_a_walk_leaves_the_model_without_hooks(small):
    Walk(small, flat(small)).read([1, 3], [1, 3], changes=1)
    assert not any(module._forward_hooks for module in small.hf.modules())


def test_a_batch_s_states_take_the_place_of_its_earlier_ones_at_once(small, monkeypatch):
    walk = Walk(small, flat(small), batch_size=4)
    walk.read([1, 3], [1, 3], changes=1)
    earlier = [weakref.ref(rows.states) for rows in walk.batches]
    left, run = [], Walk._run

    def count(self, rows, *more):
        if rows is not self.opening:
            left.append(sum(states() is not None for states in earlier))
        return run(self, rows, *more)

    monkeypatch.setattr(Walk, "_run", count)
    walk.read([3], [3], changes=3)
    assert len(earlier) > 1
    assert left == [*range(len(earlier), 0, -1)]
