"""What an edit must preserve, as second moments: the shipped questions, the user's protected facts, minus whatever
is to be forgotten. Made once per model and kept in the workspace."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..errors import BadInput
from .statistics import Moments, passages, second_moments

_QUESTIONS = Path(__file__).parents[2] / "data" / "statistics_questions.csv"
PROTECT_WEIGHT = 4.0  # a protected fact counts as much as this many of the shipped questions (ours)


def statistics_questions() -> tuple[str, ...]:
    """The questions behind the second moments, as shipped (data/statistics_questions.csv)."""
    with _QUESTIONS.open(encoding="utf-8", newline="") as stream:
        return tuple(row["question"] for row in csv.DictReader(stream))


def preserved(
    model, requests: Sequence, layers: Sequence[int], *, workspace, protect: Sequence = (), job=None
) -> dict[int, torch.Tensor]:
    """C = E[k k^T] of each layer, (d_mlp, d_mlp) float64.

    A shipped question that is among those to be forgotten (or a rephrasing of one) is taken out again; so are
    those about the same subject, as they would hold the very key in place that the edit must change.

    Raises:
        BadInput: a protected question is among those to be forgotten.
    """
    forget = {_same(text) for r in requests for text in (r.question, *r.rephrases)}
    for question in protect:
        if _same(question.question) in forget:
            raise BadInput(
                f"{question.question!r} is both to be forgotten and protected; take it out of one of the lists."
            )
    shipped = statistics_questions()
    moments = _cached(model, shipped, layers, workspace, job)
    subjects = {_same(r.subject) for r in requests}
    overlap = [q for q in shipped if _same(q) in forget or any(f" {s} " in f" {_same(q)} " for s in subjects)]
    total = {layer: moments.total[layer].clone() for layer in layers}
    tokens = float(moments.tokens)
    if overlap:
        out = second_moments(model, passages(model, overlap), layers, job=job)
        tokens -= out.tokens
        for layer in layers:
            total[layer] -= out.total[layer]
    if protect:
        texts = [question.question for question in protect]
        kept = second_moments(model, passages(model, texts), layers, job=job, stage="Reading the protected facts")
        tokens += PROTECT_WEIGHT * kept.tokens
        for layer in layers:
            total[layer] += PROTECT_WEIGHT * kept.total[layer]
    return {layer: total[layer] / max(tokens, 1.0) for layer in layers}


def _cached(model, questions: Sequence[str], layers: Sequence[int], workspace, job) -> Moments:
    """The moments of the shipped questions, from the workspace where they were computed before."""
    text = hashlib.sha256("\n".join(questions).encode()).hexdigest()[:12]
    folder = Path(workspace.statistics_dir) / model.fingerprint
    files = {layer: folder / f"{text}-{layer}.safetensors" for layer in layers}
    missing = [layer for layer, file in files.items() if not _readable(file)]
    if missing:
        # All layers from the first to the last missing one cost hardly more than those asked for.
        fresh = second_moments(model, passages(model, questions), missing, job=job)
        folder.mkdir(parents=True, exist_ok=True)
        for layer in missing:
            part = files[layer].with_suffix(".part")
            save_file({"total": fresh.total[layer].cpu(), "tokens": torch.tensor(fresh.tokens)}, part)
            part.replace(files[layer])
    stored = {layer: load_file(file) for layer, file in files.items()}
    total = {layer: t["total"].to(model.device) for layer, t in stored.items()}
    return Moments(total, int(stored[layers[0]]["tokens"]))


def _readable(file: Path) -> bool:
    try:
        return set(load_file(file)) == {"total", "tokens"}
    except Exception:  # missing, truncated, or not safetensors: computed again
        return False


def _same(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
