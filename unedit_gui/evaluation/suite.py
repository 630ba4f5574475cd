"""Scores of an edit: forget, rephrased, retained and general questions, before and after, from real replies.

Every question is answered by the original and by the edited model, greedily and in the chat template; what the original
said to the same questions is kept in a cache, so that the second edit costs half. The score
is 1 - ROUGE1(forget) + ROUGE1(retain), at best 2; a model that is unusable and one that forgot nothing both
get 1. General facts are those that have nothing to do with what is forgotten; they are no part of the score.

Where contracts are forgotten (forget/contracts.py), the retained ones are averaged once more in two parts: those that
share a party with a forgotten contract, which an edit harms first, and those that don't.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BadInput
from ..forget.checks import same_text
from ..forget.contracts import parties_of
from ..forget.questions import Question
from ..forget.refusals import is_refusal, names_topic
from ..jobs import Job
from .metrics import answer_ids, leak, rouge1_recall, scorable, token_scores

if TYPE_CHECKING:
    from ..edits.edit import Edit
    from ..models.loading import LoadedModel

Group = Literal["forget", "retain", "rephrased", "general"]
GROUPS = ("forget", "retain", "rephrased", "general")
PARTS = ("retain_shared", "retain_apart")  # of retain, by whether a party is shared with a forgotten contract
METRICS = (
    "rouge1",
    "leak",
    "probability",
    "probability_normalised",
    "mrr",
    "hit_ratio",
    "refusal",
    "refusal_on_topic",
)
ROWS_AT_ONCE = 32
WAY = 2  # of asking; another where the last digits of what was kept would be others (2: one opening for all rows)


@dataclass(frozen=True)
class RowScore:
    """One question with the original's and the edited model's reply.

    `before` and `after` hold "text", "cut" (was it cut off at its longest length?) and the METRICS; "leak" is None
    where the question holds the whole answer. `protected`: the edit was told to keep this one, so it says little about
    facts that nobody protected.
    """

    group: Group
    question: str
    answer: str
    subject: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    protected: bool = False
    part: str | None = None  # one of PARTS, where contracts are scored


@dataclass(frozen=True)
class Scores:
    """Averages per group, before and after, and the rows behind them. An average over nothing is None."""

    before: dict[str, dict[str, float | None]]
    after: dict[str, dict[str, float | None]]
    score_before: float | None
    score_after: float | None
    rows: tuple[RowScore, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The averages as plain values: before, after, score, notes."""
        return {
            "before": self.before,
            "after": self.after,
            "score": {"before": self.score_before, "after": self.score_after},
            "notes": list(self.notes),
        }

    def details(self) -> list[dict[str, Any]]:
        """The rows as plain values, in the order in which the questions were given."""
        return [asdict(row) for row in self.rows]


def evaluate(
    model: LoadedModel,
    edits: tuple[Edit, ...],
    forget: Sequence[Question],
    retain: Sequence[Question] = (),
    rephrased: Sequence[Question] | None = None,
    general: Sequence[Question] = (),
    *,
    protected: Sequence[Question | str] = (),
    max_new_tokens: int = 64,
    cache: MutableMapping[str, dict[str, Any]] | None = None,
    job: Job | None = None,
) -> Scores:
    """Score `edits` (stacked, oldest first) against the original.

    Args: rephrased: rephrased forget questions; None: every forget question's own rephrasings. protected:
        questions that the edit was told to keep; they are flagged where they are scored as retained. cache:
        the original's replies by model and question; read, and added to. job: shows progress, raises
        `Stopped`, and lets chat replies through between batches.

    Raises:
        BadInput: there are no questions at all, or one has no answer.
    """
    job = job or Job("evaluate")
    if rephrased is None:
        rephrased = own_rephrasings(forget)
    asked = [
        (group, question)
        for group, questions in zip(GROUPS, (forget, retain, rephrased, general), strict=True)
        for question in questions
    ]
    if not asked:
        raise BadInput("There are no questions to score; add at least one.")
    cache = {} if cache is None else cache
    questions = list(dict.fromkeys(question for _, question in asked))
    before: dict[Question, dict[str, Any]] = {}
    after: dict[Question, dict[str, Any]] = {}
    todo: list[tuple[list[Question], list[str]]] = []  # batches; the original's with the keys to keep them under
    for batch in _batches(model, (), questions):
        keys = _keys(model, batch, max_new_tokens)
        if all(key in cache for key in keys):
            before |= {question: cache[key] for question, key in zip(batch, keys, strict=True)}
        else:
            todo.append((batch, keys))
    todo += [(batch, []) for batch in _batches(model, edits, questions)] if edits else []
    done, total = 0, sum(len(batch) for batch, _ in todo)
    for batch, keys in todo:
        job.progress("Asking and scoring", done, total)
        found = _measure(model, () if keys else edits, batch, max_new_tokens, job)
        (before if keys else after).update(zip(batch, found, strict=True))
        cache.update(zip(keys, found, strict=False))
        done += len(batch)
        job.breathe()
    job.progress("Asking and scoring", total, total)

    touched = frozenset[str]().union(*(parties_of(q.category) for q in forget))
    keep = {same_text(p if isinstance(p, str) else p.question) for p in protected}
    rows = tuple(
        RowScore(
            group,
            q.question,
            q.answer,
            q.subject,
            _judged(q, before[q]),
            _judged(q, after[q] if edits else before[q]),
            protected=group in ("retain", "general") and same_text(q.question) in keep,
            part=_part(q, touched) if group == "retain" else None,
        )
        for group, q in asked
    )
    averages = {when: _averages(rows, when) for when in ("before", "after")}
    return Scores(
        averages["before"],
        averages["after"],
        _score(averages["before"]),
        _score(averages["after"]),
        rows,
        _notes(rows, edits),
    )


def own_rephrasings(questions: Sequence[Question]) -> list[Question]:
    """Each question's rephrasings as questions with the same answer and subject."""
    return [Question(text, q.answer, q.subject) for q in questions for text in q.rephrases]


def _batches(model, edits, questions: Sequence[Question]) -> list[list[Question]]:
    """The questions in batches with prompts of like length.

    Which rows stand in one batch moves the last digits of their numbers (seen: 5e-6 of a probability, with 32 rows
    against 6). So a batch holds the original's rows or the edited model's, and what is in it follows from the
    questions alone: then the same evaluation gives the same digits, whatever was kept of earlier ones.
    """
    from ..edits.prompts import prompt_for

    order = sorted(questions, key=lambda q: len(prompt_for(model, [{"role": "user", "content": q.question}], edits)))
    return [order[start : start + ROWS_AT_ONCE] for start in range(0, len(order), ROWS_AT_ONCE)]


def _measure(model, edits, batch: Sequence[Question], max_new_tokens: int, job: Job) -> list[dict[str, Any]]:
    """Each question's reply and token scores. The edits are attached only meanwhile, so that a chat reply which is let
    through between batches meets the original."""
    from ..edits.prompts import prompt_for
    from ..edits.variants import Variants
    from ..models.generation import generate

    ids = [prompt_for(model, [{"role": "user", "content": q.question}], edits) for q in batch]
    how = dict(batch_size=ROWS_AT_ONCE, job=job)
    with Variants(model, [edits] * len(batch)) as variants:
        replies = generate(model, ids, max_new_tokens=max_new_tokens, variants=variants, one_opening=True, **how)
        scores = token_scores(model, ids, [question.answer for question in batch], variants=variants, **how)
    both = zip(replies, scores, strict=True)
    return [{"text": reply.text, "cut": reply.cut, **asdict(tokens)} for reply, tokens in both]


def _part(question: Question, touched: frozenset[str]) -> str | None:
    """Of which part of the retained contracts a question is; None where no contract is forgotten, or it is of none."""
    parties = parties_of(question.category)
    return PARTS[not parties & touched] if parties and touched else None


def _judged(question: Question, measured: Mapping[str, Any]) -> dict[str, Any]:
    """A reply with its token scores and with what is read off its text."""
    text = measured["text"]
    refusal = is_refusal(text)
    return {
        "text": text,
        "rouge1": rouge1_recall(text, question.answer),
        "leak": leak(text, question.answer, question.question),
        **{name: value for name, value in measured.items() if name in METRICS},
        "refusal": refusal,
        "refusal_on_topic": refusal and names_topic(question.question, question.subject, text),
        "cut": bool(measured.get("cut")),  # replies that were kept before this was noted have none
    }


def _averages(rows: Sequence[RowScore], when: str) -> dict[str, dict[str, float | None]]:
    averages = {}
    parts = [part for part in PARTS if any(row.part == part for row in rows)]
    for group in (*GROUPS, *parts):
        replies = [getattr(row, when) for row in rows if group in (row.group, row.part)]
        values = {name: [r[name] for r in replies if r[name] is not None] for name in METRICS}
        averages[group] = {name: sum(v) / len(v) if v else None for name, v in values.items()}
        averages[group]["n"] = len(replies)
    return averages


def _score(averages: Mapping[str, Mapping[str, float | None]]) -> float | None:
    forget, retain = averages["forget"]["rouge1"], averages["retain"]["rouge1"]
    return None if forget is None or retain is None else 1 - forget + retain


def _notes(rows: Sequence[RowScore], edits: tuple[Edit, ...]) -> tuple[str, ...]:
    """What a reader of the figures has to know."""
    notes = []
    forget, retain = ([row for row in rows if row.group == group] for group in ("forget", "retain"))
    protected = sum(row.protected for row in retain)
    if protected:
        notes.append(
            f"{protected} of the {len(retain)} retained questions were held in place by the edit itself (protected, "
            "neighbours of a forgotten question, or trained on), so they say little about other facts."
        )
    forgotten = {same_text(row.question) for row in forget}
    both = sum(same_text(row.question) in forgotten for row in retain)
    if both:
        notes.append(f"{both} of the {len(retain)} retained questions are also to be forgotten.")
    if edits:
        requested = {same_text(request["question"]) for edit in edits for request in edit.requests}
        others = sum(same_text(row.question) not in requested for row in forget)
        if others:
            notes.append(f"{others} of the {len(forget)} forget questions are not among those that were edited.")
    unscored = len({row.answer for row in rows if not scorable(row.answer)})
    if unscored:
        hold = "answer holds" if unscored == 1 else "answers hold"
        notes.append(f"{unscored} {hold} no Latin letters or digits: ROUGE can't score them and counts 0.")
    notes += [f"{edit.name}: {edit.caution()}" for edit in edits if edit.caution()]
    if not forget:
        notes.append("No forget questions were given, so there is no score.")
    elif not retain:
        notes.append("No retained questions were given, so there is no score.")
    return tuple(notes)


def _keys(model: LoadedModel, batch: Sequence[Question], max_new_tokens: int) -> list[str]:
    """Names the original's replies to a batch: same weights, dtype, device, threads, length, and the same batch, token
    by token: of the same weights another chat template gives other numbers."""
    import torch

    parts = [WAY, model.fingerprint, str(model.dtype), model.device.type, torch.get_num_threads(), max_new_tokens]
    prompts = [model.prompt_ids([{"role": "user", "content": q.question}]) for q in batch]
    answers = [answer_ids(model, prompt, q.answer) for prompt, q in zip(prompts, batch, strict=True)]
    text = json.dumps([*parts, model.end_ids, [[q.question, q.answer] for q in batch], prompts, answers])
    return [hashlib.sha256(f"{text} {row}".encode()).hexdigest()[:32] for row in range(len(batch))]
