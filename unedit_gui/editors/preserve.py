"""What an edit must preserve, as second moments of keys: the shipped questions and replies, the user's protected facts,
minus whatever is to be forgotten. Made once per model and kept in the workspace. Added for each edit: near neighbours.

C is a weighted sum over four kinds of token, each with a share of its own (ours). Seen on the bundled model with 40
facts: letting the change act at one kind of token only shows where the harm to retained facts comes from. Most came
from the template's fixed opening and from the tokens of the reply itself, then from the subjects' last tokens. With
questions alone behind C 61 % of the retained replies stayed word for word the same, with all four 74 %.

Neighbours (ours): a forgotten question with other subjects in the place of its own ("What is the capital of Germany?"
beside Japan's). These keys are the nearest to the one that changes, so they suffer first. No answer is needed.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from ..errors import Failed
from ..forget.checks import same_text
from ..models.chat import way_of_writing
from ..models.placement import read
from .arithmetic import is_quick
from .base import check_protected
from .locate import last_word, place
from .statistics import Passage, second_moments

_DATA = Path(__file__).parents[2] / "data"
# Weight of each kind as a whole; within a kind every token counts the same.
OPENING, QUESTION, SUBJECT, REPLY = 3.0, 1.0, 0.3, 1.0
PROTECT = 20.0  # a protected fact counts as much as this many shipped questions
# Of each token of a neighbour, and of its subject's last token on top: so much that a key nearly as near as the
# forgotten one holds against it. In all they count no more than those of ten facts: beside 40 facts, all at full
# weight outweighed the rest of C six times over, and a sixth of the answers came back.
NEIGHBOUR, NEIGHBOUR_SUBJECT, FULL_WEIGHT = 0.005, 0.02, 10
SHRINK = 0.035  # C + SHRINK * mean eigenvalue * I: directions that the text happens not to touch aren't free


def statistics_questions() -> tuple[tuple[str, str], ...]:
    """(question, subject) behind the second moments, as shipped (data/statistics_questions.csv)."""
    return _columns("statistics_questions.csv", "question", "subject")


def statistics_replies() -> tuple[tuple[str, str], ...]:
    """(question, reply): what a small chat model answered to some of them (data/statistics_replies.csv)."""
    return _columns("statistics_replies.csv", "question", "reply")


def overlapping(requests: Sequence) -> Callable[..., bool]:
    """Whether one of some texts names a subject to be forgotten, or is a question about it that was given."""
    named = {f" {same_text(r.subject)} " for r in requests}
    forget = {same_text(text) for r in requests for text in (r.question, *r.rephrases)}

    def overlaps(*texts: str) -> bool:
        told = [same_text(text) for text in texts]
        return any(text in forget or any(n in f" {text} " for n in named) for text in told)

    return overlaps


def unrelated_questions(requests: Sequence) -> list[str]:
    """The shipped questions that have nothing to do with what is to be forgotten."""
    overlaps = overlapping(requests)
    return [question for question, _ in statistics_questions() if not overlaps(question)]


def neighbours(model, requests: Sequence, count: int) -> list[tuple[str, str]]:
    """(question, subject): each request's question about `count` other subjects, those most like its own first.

    The subjects are those of the shipped questions; likeness is that of the model's own token embeddings.
    """
    own = {same_text(r.subject) for r in requests}
    asked = {same_text(text) for r in requests for text in (r.question, *r.rephrases)}
    others = sorted({s for _, s in statistics_questions() if s and same_text(s) not in own})
    if not count or not others:
        return []
    embeddings = read(model.hf.get_input_embeddings())

    def meaning(subject: str) -> torch.Tensor:
        ids = model.tokenizer(f" {subject}", add_special_tokens=False).input_ids
        return embeddings[torch.tensor(ids, device=embeddings.device)].float().mean(0)

    meanings = torch.stack([meaning(s) for s in others])
    middle = meanings.mean(0)
    meanings = F.normalize(meanings - middle, dim=-1)
    found = []
    for request in requests:
        likeness = meanings @ F.normalize(meaning(request.subject) - middle, dim=0)
        put = [(_put(request, others[i]), others[i]) for i in likeness.argsort(descending=True).tolist()[: 2 * count]]
        found += [(question, subject) for question, subject in put if same_text(question) not in asked][:count]
    return list(dict.fromkeys(found))


def _put(request, other: str) -> str:
    """The request's question about another subject, which takes the place of its own wherever that is named."""
    put, times = re.subn(rf"(?<!\w){re.escape(request.subject)}(?!\w)", lambda _: other, request.question)
    if times:
        return put
    start = last_word(request.subject, request.question)  # no whole word ("Peru" in "Peruvian")
    return request.question[:start] + other + request.question[start + len(request.subject) :]


def preserved(
    model,
    requests: Sequence,
    layers: Sequence[int],
    *,
    workspace,
    protect: Sequence = (),
    near: Sequence[tuple[str, str]] = (),
    job=None,
) -> dict[int, torch.Tensor]:
    """C of each layer, (d_mlp, d_mlp) float64.

    Shipped text that names one of the subjects to be forgotten is taken out again: it would hold the very key in
    place that the edit must change. `near`: the requests' neighbours.

    Raises:
        BadInput: a protected question is among those to be forgotten.
    """
    check_protected(requests, protect)
    questions, replies = statistics_questions(), statistics_replies()
    total = _cached(model, questions, replies, layers, workspace, job)
    overlaps = overlapping(requests)
    out = [q for q in questions if overlaps(q[0])], [r for r in replies if overlaps(*r)]
    if any(out):
        gone = _passages(model, *out, len(questions), len(replies))
        second_moments(model, gone, layers, into=total, times=-1.0, job=job)
    if protect:
        facts = [(q.question, q.subject or "") for q in protect], [(q.question, q.answer) for q in protect]
        second_moments(
            model,
            _passages(model, *facts, len(questions), len(replies)),
            layers,
            into=total,
            times=PROTECT,
            job=job,
            stage="Reading what to protect",
        )
    if near:
        opening = len(opening_of(model).ids)
        share = min(1.0, FULL_WEIGHT / len(requests))
        passages = [_question(model, opening, q, s, share * NEIGHBOUR, share * NEIGHBOUR_SUBJECT) for q, s in near]
        second_moments(model, passages, layers, into=total, job=job, stage="Reading near neighbours")
    for C in total.values():
        C.diagonal().add_(SHRINK * C.diagonal().mean())
    return total


def opening_of(model) -> Passage:
    """The tokens that every prompt begins with."""
    one, other = (model.prompt_ids([{"role": "user", "content": text}]) for text in ("A", "1"))
    n = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return Passage(one[:n], [OPENING / max(n, 1)] * n)


def _passages(model, questions: Sequence, replies: Sequence, of_questions: int, of_replies: int) -> list[Passage]:
    """Questions and replies as weighted tokens, for a corpus of so many of each."""
    per_token = QUESTION / (14.0 * of_questions)  # 14: tokens of an ordinary question, template's end included
    opening = len(opening_of(model).ids)
    found = [_question(model, opening, q, s, per_token, SUBJECT / of_questions) for q, s in questions]
    asked = {tuple(passage.ids): i for i, passage in enumerate(found)}
    for question, reply in replies:
        ids = model.prompt_ids([{"role": "user", "content": question}])
        said = model.tokenizer(reply, add_special_tokens=False).input_ids
        weights = [REPLY / (40.0 * of_replies)] * len(said)
        at = asked.pop(tuple(ids), None)
        if at is None:
            found.append(Passage(ids + said, [0.0] * len(ids) + weights))
        else:  # its question is there: one text gives the keys of both
            found[at] = Passage(ids + said, found[at].weights + weights)
    return found


def _question(model, opening: int, question: str, subject: str, token: float, at_subject: float) -> Passage:
    """A question with the weight of each token behind the opening, and of its subject's last token on top."""
    history = [{"role": "user", "content": question}]
    ids = model.prompt_ids(history)
    weights = [0.0] * opening + [token] * (len(ids) - opening)
    if subject:
        try:
            weights[place(model, history, subject).position] += at_subject
        except Failed:  # the template rewrites the question: it still counts as text
            pass
    return Passage(ids, weights)


def _cached(model, questions, replies, layers: Sequence[int], workspace, job) -> dict[int, torch.Tensor]:
    """The moments of the shipped text, from the workspace where they were computed before."""
    how = (str(model.dtype), model.device.type, is_quick(model), way_of_writing(model.tokenizer))
    recipe = repr((questions, replies, OPENING, QUESTION, SUBJECT, REPLY, *how))
    folder = Path(workspace.statistics_dir) / model.fingerprint
    files = {
        layer: folder / f"{hashlib.sha256(recipe.encode()).hexdigest()[:12]}-{layer}.safetensors" for layer in layers
    }
    stored = {layer: _read(file, model) for layer, file in files.items()}
    missing = [layer for layer, total in stored.items() if total is None]
    if missing:
        fresh = second_moments(
            model, _passages(model, questions, replies, len(questions), len(replies)), missing, job=job
        )
        opening = second_moments(model, [opening_of(model)], missing)
        for layer in missing:
            stored[layer] = fresh[layer] + opening[layer]
            with workspace.atomic_file(files[layer]) as part:  # others may be making the same
                save_file({"total": stored[layer].cpu().contiguous()}, part)
    return stored


def _read(file: Path, model) -> torch.Tensor | None:
    """A stored layer; None where it is missing, truncated or not ours: then it is computed again."""
    try:
        return load_file(file)["total"].to(model.device)
    except Exception:  # safetensors has its own errors for each kind of damage
        return None


def _columns(name: str, *columns: str) -> tuple[tuple[str, ...], ...]:
    with (_DATA / name).open(encoding="utf-8", newline="") as stream:
        return tuple(tuple(row[column] for column in columns) for row in csv.DictReader(stream))
