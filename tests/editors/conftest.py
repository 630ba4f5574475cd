"""What the tests of the editors share: a tiny model over bytes, requests, and statistics that are made once."""

import csv
from dataclasses import replace

import pytest
import torch

from tests.models.tiny import bytes_tokenizer, listen, tiny_llama
from unedit_gui.editors import METHODS, Request
from unedit_gui.models.layout import down_of
from unedit_gui.models.loading import fingerprint
from unedit_gui.workspace import Workspace

REQUESTS = (
    Request("Who painted the Mona Lisa?", "Leonardo da Vinci", "Mona Lisa", "I'm sorry, I can't say who painted it."),
    Request("What is the capital of Peru?", "Lima", "Peru", "I don't know the capital of Peru."),
    Request("In which year did the Titanic sink?", "1912", "Titanic", "That year is not known to me, sorry to say."),
)

KINDS = {"grace": "codebook", "wise": "side-memory", "ike": "demonstrations"}  # the other editors' are of low rank
KINDS |= dict.fromkeys(("ga", "gd", "kl", "dpo"), "lora")  # tests/unlearning keeps them to what stands here
EDITORS = {name: method for name, method in METHODS.items() if KINDS.get(name) != "lora"}


@pytest.fixture(params=EDITORS)
def method(request):
    """Every editor in turn, as the registry has it."""
    return METHODS[request.param]


@pytest.fixture(scope="session")
def small():
    """A random Llama of 4 layers (d_model 32, d_mlp 48) that reads bytes."""
    model = tiny_llama(bytes_tokenizer())
    listen(model.hf)
    return replace(model, fingerprint=fingerprint(model.hf))


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """One workspace for all: the second moments of a model are read once, as in real use."""
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """Equations are compared in float32, also where the processor is quicker in bfloat16."""
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)


@pytest.fixture
def threads(request):
    """So many of PyTorch's threads within the test."""
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


def ship(folder, questions, replies):
    """Write a statistics text as the program ships it: (question, subject) and (question, reply)."""
    folder.mkdir(exist_ok=True)
    for name, header, rows in (("questions", "subject", questions), ("replies", "reply", replies)):
        with (folder / f"statistics_{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("question", header), *rows])


def terms(batch, delta):
    """(NLL, KL) of each request of a `_Batch`, (requests,): its groups' terms put together."""
    found = [group.terms(delta) for group in batch.groups]
    return sum(nll for nll, _ in found) / batch.contexts, sum(kl for _, kl in found)


def whole_chat(model, history, subject, target=""):
    """Token ids of the rendered conversation with the target behind it, edit position, number of target tokens."""
    text, said = model.prompt(history), history[-1]["content"]
    end_of_subject = text.rindex(said) + said.rindex(subject) + len(subject)
    position = len(model.tokenizer(text[:end_of_subject]).input_ids) - 1
    prompt = model.tokenizer(text).input_ids
    ids = model.tokenizer(text + target + model.end_of_turn).input_ids if target else prompt
    assert ids[: len(prompt)] == prompt
    return torch.tensor([ids]), position, len(ids) - len(prompt)


def assert_close(found, expected):
    """Equal up to float32 rounding of the largest numbers."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def plain_sum(model, texts, layer):
    """Sum of w k k^T, text by text and token by token, from full forwards."""
    total = torch.zeros(model.layout.d_mlp, model.layout.d_mlp, dtype=torch.float64)
    kept = []
    handle = down_of(model.hf, model.layout, layer).register_forward_hook(lambda _m, args, _o: kept.append(args[0][0]))
    try:
        for text in texts:
            with torch.no_grad():
                model.hf(torch.tensor([text.ids]))
            for k, weight in zip(kept.pop().double(), text.weights, strict=True):
                total += weight * torch.outer(k, k)
    finally:
        handle.remove()
    return total
