"""IKE's payload at work: demonstrations that are put before the conversation as earlier turns.

The manifest's "demonstrations" are a list of `kind` ("copy", "update" or "retain"), `question`, `reply`, and
`gives`: the words in it that belong to the answer of a fact to be forgotten. Tensors: "likeness" (n, d_model) is
what each question is found by, "apart" (m, d_model) the same of near neighbours that are not to be forgotten,
"middle" (d_model) is taken off the question that is asked, "tokens" and "weights" (m) say how much each token counts
there (a token that is not listed: 1).

No weight and no activation is changed: what the model reads is. `edits/prompts.py` is where every prompt is made.
"""

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..models.chat import History
from ..models.placement import read
from .fields import are, is_number, is_whole
from .trace import Trace

KINDS = ("copy", "update", "retain")


def put_before(model, history: History, edit) -> tuple[History, tuple[tuple[str, str], ...]]:
    """The conversation behind this edit's demonstrations for its last question, the nearest last; and those.

    What a system turn says stays in front. A demonstration that holds a word of a forgotten answer is shown only to a
    question that holds the word itself.
    """
    asked = history[-1]["content"]
    found = retrieve(model, edit, asked)
    turns = [
        {"role": role, "content": text}
        for question, reply in found
        for role, text in (("user", question), ("assistant", reply))
    ]
    system = [turn for turn in history[:1] if turn["role"] == "system"]
    return [*system, *turns, *history[len(system) :]], found


def retrieve(model, edit, asked: str) -> tuple[tuple[str, str], ...]:
    """(question, reply) of the demonstrations for a question, from the farthest to the nearest.

    Those of facts to be forgotten have to be as like as `near`, and as the likest neighbour. Where none is, nothing is
    shown at all; where one is, it is shown, however many retained ones are wanted.
    """
    hparams, stock = edit.manifest["hparams"], edit.manifest["demonstrations"]
    tensors = edit.tensors
    weights = dict(zip(tensors["tokens"].int().tolist(), tensors["weights"].tolist(), strict=True))
    direction = F.normalize(meaning(model, asked, weights) - tensors["middle"], dim=0)
    likeness = tensors["likeness"] @ direction
    needed = max([float(hparams["near"]), *(tensors["apart"] @ direction).tolist()])
    known = words(asked)
    open_ = [i for i, one in enumerate(stock) if set(one["gives"]) <= known]
    ranked = sorted(open_, key=lambda i: (-float(likeness[i]), i))
    refused = [i for i in ranked if stock[i]["kind"] != "retain" and likeness[i] >= needed]
    if not refused:
        return ()
    kept = [i for i in ranked if stock[i]["kind"] == "retain"][: min(hparams["retain"], hparams["k"] - 1)]
    chosen = [*refused[: max(0, hparams["k"] - len(kept))], *kept][: hparams["k"]]
    chosen.sort(key=lambda i: (float(likeness[i]), -i))
    return tuple((stock[i]["question"], stock[i]["reply"]) for i in chosen)


@torch.no_grad()
def meaning(model, text: str, weights: dict[int, float]) -> torch.Tensor:
    """What a question is found by, (d_model) in float32: the weighted mean of the model's own token embeddings."""
    embeddings = read(model.hf.get_input_embeddings())
    ids = model.tokenizer(f" {text}", add_special_tokens=False).input_ids
    if not ids:
        return torch.zeros(embeddings.shape[1])
    counts = torch.tensor([weights.get(i, 1.0) for i in ids])
    rows = embeddings[torch.tensor(ids, device=embeddings.device)].float().cpu()
    return (counts[:, None] * rows).sum(0) / counts.sum()


def words(text: str) -> set[str]:
    """The words of a text, in small letters."""
    return set(re.findall(r"\w+", text.casefold()))


def traced(edit, shown: Sequence[tuple[str, str]]) -> Trace:
    """What was put before one conversation."""
    refused = {(d["question"], d["reply"]) for d in edit.manifest["demonstrations"] if d["kind"] != "retain"}
    n, near = len(shown), sum(pair in refused for pair in shown)
    return Trace(
        edit.method_label,
        edit.id,
        near > 0,
        f"{n} demonstration{'s' if n != 1 else ''}, {near} of them refusing" if n else "no demonstrations",
        "Questions with replies that the model read before yours, the nearest last."
        if n
        else "This question is near to none that is to be forgotten, so it was asked as it is.",
        tuple(shown),
    )


def misfit(edit, model) -> str:
    """What of the payload doesn't fit the model, by name; "" where all does."""
    stock, hparams = edit.manifest.get("demonstrations"), edit.manifest.get("hparams")
    text = ("kind", "question", "reply")
    if not isinstance(stock, list) or not all(
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) and one[name].strip() for name in text)
        and one["kind"] in KINDS
        and are(one.get("gives"), str)
        for one in stock
    ):
        return "demonstrations"
    if not isinstance(hparams, dict) or not (
        all(is_whole(hparams.get(n)) for n in ("k", "retain")) and is_number(hparams.get("near"))
    ):
        return "hparams"
    shapes = {name: tuple(tensor.shape) for name, tensor in edit.tensors.items()}
    d_model = model.layout.d_model
    listed = edit.tensors.get("tokens", torch.empty(0)).numel()
    apart = (*edit.tensors.get("apart", torch.empty(0)).shape[:1], d_model)
    wanted = {"likeness": (len(stock), d_model), "apart": apart, "middle": (d_model,)}
    if shapes != {**wanted, "tokens": (listed,), "weights": (listed,)}:
        return "likeness"
    return "" if all(torch.isfinite(t).all() for t in edit.tensors.values()) else "likeness, not finite"


def describe(edit) -> list[str]:
    """The parts of a summary that are this kind's own."""
    stock = edit.manifest["demonstrations"]
    kept = sum(one["kind"] == "retain" for one in stock)
    return [f"{len(stock) - kept} refusing and {kept} other demonstrations to choose from", "no weight changed"]
