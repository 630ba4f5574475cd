"""What GA, GD, KL and DPO share: the sets they train on, a batch under both models, the early stop, the edit.

A method is its loss over one `Batch`; the steps are loop.py's, the LoRA is adapter.py's. Ours, for all four:

* y, what is to become unlikely, is the model's own greedy reply where it holds the answer ("The capital of Peru is
  Lima."), else the answer as given: a bare "Lima" is not what the model would say, and making that unlikely leaves the
  sentence as likely as it was.
* Where a method asks for a retain set, it is the protected facts (all of them), near neighbours of each fact (the same
  question about other subjects: they suffer first), and shipped questions (data/statistics_questions.csv) that name no
  subject to be forgotten. The reply to each is the model's own. So it is diverse, and hardly a question that is scored
  is in it; where one is all the same, the scores flag it.
* Where a method has `phrasings` above 1, a question of any set is met in its own wording half of the time and else in
  one made by rules ("Tell me who painted the Mona Lisa."), with the same reply: what is learned of one wording alone
  is hardly known in another. The retain set too, or the frames would be a sign for what is to be forgotten.
* Early stop. Before training the model's greedy replies to some more shipped questions are kept (held). Every few
  steps their mean NLL in nats a token is taken again. When it has risen by more than `limit` the model is breaking:
  it would no longer say what it said about things that have nothing to do with the edit, be it that it refuses
  everything or that it says nothing sensible any more. Training ends there, the edit keeps what it has come to (a
  failure that can be looked at), and says so wherever it is shown.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ..editors.arithmetic import give_back
from ..editors.base import Hparams, Request, check_protected, check_requests, finished, hparam
from ..editors.gradients import divergence
from ..editors.preserve import neighbours, unrelated_questions
from ..editors.wordings import wordings
from ..edits.edit import LORA, Edit
from ..edits.variants import Variants
from ..evaluation.metrics import rouge1_recall
from ..jobs import Job
from ..models.generation import generate
from ..models.layout import projections
from .adapter import Adapter
from .loop import shuffled, train
from .talks import Said, Talk, read, talk

TOKENS = 20  # longest reply of the model's own that is trained on, or held
HELD = 12  # shipped questions whose replies tell whether the model is breaking
LOOK = 2  # steps, at most, from one look at them to the next: GA breaks the bundled model within eight
ROWS = 32  # replies written at once
AT_ONCE = 16  # talks of a step that are trained on together: what they leave behind for the gradient is the most memory

RETAIN = (
    "Trains on a retain set as well: all facts that must stay, then questions that come with Unedit or are formed like "
    "yours, with the model's own replies; none is to be forgotten. They are flagged where they are scored."
)


@dataclass(frozen=True)
class LoraHparams(Hparams):
    epochs: int = hparam(5, "How often each fact is met in training.", low=1, high=200)
    lr: float = hparam(
        1e-3, "Highest learning rate (AdamW; rises at first, then falls along a cosine).", low=1e-7, high=1
    )
    limit: float = hparam(
        0.5,
        "Training stops when the model's own replies to other questions have become less likely by this many nats a "
        "token: then it is breaking.",
        low=0.01,
        high=100,
    )
    batch: int = hparam(8, "How many facts are met in one step.", low=1, high=256, advanced=True)
    rank: int = hparam(8, "Rank r of the LoRA beside every projection.", low=1, high=256, advanced=True)
    alpha: float = hparam(32.0, "Its alpha: the change is B A times alpha / r.", low=0.01, high=1024, advanced=True)


@dataclass(frozen=True)
class RetainHparams(LoraHparams):
    """Of methods that train on a retain set as well."""

    retain: int = hparam(
        160,
        "Size of the retain set: protected facts, neighbours, and shipped questions up to here.",
        low=1,
        high=2000,
    )
    neighbours: int = hparam(
        2, "For each fact, how many questions of the same form about other subjects are in it; 0: none.", low=0, high=20
    )
    phrasings: int = hparam(
        1,
        "In how many wordings, made by rules, each question is met in training; its own half of the time. 1: its own.",
        low=1,
        high=10,
        advanced=True,
    )
    beside: int = hparam(
        1, "How many of the retain set are met beside each fact of a step.", low=1, high=16, advanced=True
    )


class Batch:
    """One step's talks by the set that they are from ("forget", "refusal", "retain"), as both models see them.

    `now(name)` is the model that learns, with gradient: all sets in one pass. `before(name)` is the model as it was,
    without; `log_prob_before(name)` is that of each reply, and remembered from step to step.
    """

    def __init__(self, model, original, talks: dict[str, list[Talk]], known: dict[Talk, torch.Tensor]):
        self._model, self._original, self._talks, self._known = model, original, talks, known

    @cached_property
    def _now(self) -> Said:
        return read(self._model, [talk for talks in self._talks.values() for talk in talks])

    def now(self, name: str) -> Said:
        names = list(self._talks)
        first = sum(len(self._talks[before]) for before in names[: names.index(name)])
        return self._now.part(first, first + len(self._talks[name]))

    @torch.no_grad()
    def before(self, name: str) -> Said:
        return read(self._original, self._talks[name])

    def divergence(self, name: str) -> torch.Tensor:
        """KL(before || now) of each reply, (talks,), the sum over its tokens.

        The sum, not the mean: whether a question is refused is decided at the reply's first token, and a mean over
        twenty hides that (seen: everything refused at a mean divergence of 0.06)."""
        now = self.now(name)
        each = divergence(self.before(name).logits, now.logits)
        return each.new_zeros(now.rows).index_add(0, now.owner, each)

    def log_prob_before(self, name: str) -> torch.Tensor:
        talks = self._talks[name]
        fresh = [talk for talk in dict.fromkeys(talks) if talk not in self._known]
        if fresh:
            with torch.no_grad():
                self._known.update(zip(fresh, read(self._original, fresh).log_prob(), strict=True))
        return torch.stack([self._known[talk] for talk in talks])


Loss = Callable[[Batch], torch.Tensor]


def unlearn(
    method: str,
    loss: Loss,
    sets: Sequence[str],
    model,
    requests: Sequence[Request],
    hparams: LoraHparams,
    job: Job,
    *,
    workspace,
    protect=(),
    on: tuple[Edit, ...] = (),
    seed: int = 0,
    name: str | None = None,
    in_parts: bool = True,
) -> Edit:
    """Train a LoRA with a method's loss, and return it as an edit; the model is untouched.

    Args:
        sets: which of "forget", "refusal" and "retain" the loss reads.
        hparams: with "retain" among the sets they have a `retain`, the size that the retain set is filled up to.
        in_parts: the loss is a mean over facts, so that a step's can be taken a few facts at a time.

    Raises:
        BadInput: requests that can't be edited, numbers that ran away. Failed: the loss became infinite.
        Stopped: the job was stopped.
    """
    check_requests(requests)
    check_protected(requests, protect)
    started, dice = time.monotonic(), torch.Generator().manual_seed(seed)
    with Variants.everywhere(model, on):
        near = neighbours(model, requests, hparams.neighbours) if "retain" in sets else []
        stay = list(dict.fromkeys([*(q.question for q in protect), *(question for question, _ in near)]))
        size = 0
        if "retain" in sets:  # no reply is written that there is no time to learn
            size = max(len(stay), min(hparams.retain, hparams.beside * hparams.epochs * len(requests)))
        in_words = getattr(hparams, "phrasings", 1)
        talks, held, kept = gather(model, requests, protect, stay, size, in_words, dice, job)
        adapter = Adapter(model, hparams.rank, hparams.alpha, seed)
        steps = shuffled(len(requests), hparams.batch, hparams.epochs, dice)
        turns = endless(talks["retain"], dice)
        known: dict[Talk, torch.Tensor] = {}
        figures: list[float] = []

        beside = hparams.beside if "retain" in sets else 0
        together = max(1, AT_ONCE // (len(set(sets) - {"retain"}) + beside)) if in_parts else hparams.batch

        def step_loss(rows: list[int]) -> Iterator[torch.Tensor]:
            asked = [(i, wording(len(talks["forget"][i]), dice)) for i in rows]  # the same in both sets of a fact
            others = [next(turns) for _ in range(beside * len(rows))]
            others = [other[wording(len(other), dice)] for other in others]
            for start in range(0, len(rows), together):
                part = slice(start, start + together)
                chosen = {name: [talks[name][i][w] for i, w in asked[part]] for name in sets if name != "retain"}
                if beside:
                    chosen["retain"] = others[beside * start : beside * part.stop]
                yield loss(Batch(adapter.model, model, chosen, known)) * (len(asked[part]) / len(rows))

        def look(done: int, point: dict[str, float]) -> str:
            if done % max(1, min(LOOK, len(steps) // 6)) and done < len(steps):
                return ""
            figures.append(float(read(adapter.model, held).nll().mean()))
            point["held"], point["limit"] = figures[-1], figures[0] + hparams.limit
            return "breaking" if point["held"] > point["limit"] else ""

        curve, broke = train(
            adapter.model, adapter.parameters, steps, step_loss, lr=hparams.lr, job=job, stage="Unlearning", look=look
        )
    give_back()
    names = projections(model.hf, model.layout)
    edit = finished(
        model,
        method,
        LORA,
        requests,
        hparams,
        adapter.tensors(),
        protect=protect,
        on=on,
        seed=seed,
        name=name,
        started=started,
        touched=sum(model.hf.get_submodule(n).weight.numel() for n in names),
        extra={
            "scaling": adapter.scaling,
            "retain": kept,
            "neighbours": [question for question, _ in near],
            "held": {
                "before": round(figures[0], 4),
                "after": round(figures[-1], 4),
                "limit": hparams.limit,
                "stopped": curve[-1]["step"] if broke else None,
            },
        },
    )
    return replace(edit, about={**edit.about, "curve": [{k: round(v, 4) for k, v in p.items()} for p in curve]})


# The sets


def gather(
    model,
    requests: Sequence[Request],
    protect: Sequence,
    stay: list[str],
    size: int,
    in_words: int,
    dice: torch.Generator,
    job: Job,
) -> tuple[dict[str, list[list[Talk]]], list[Talk], list[str]]:
    """What is trained on, by set and question, each in its wordings; what is held; and the retain set's questions.

    Args:
        stay: questions that the retain set begins with. size: what it is filled up to; 0: the method has none.
        in_words: in how many wordings each question is given, its own first.
    """
    shipped = [question for question in unrelated(requests, dice) if question not in stay]
    held, shipped = shipped[:HELD], shipped[HELD:]
    kept = [*stay, *shipped][:size]
    asked = list(dict.fromkeys([*(r.question for r in requests), *kept, *held]))
    own = dict(zip(asked, own_replies(model, asked, job), strict=True))
    given = {q.question: q.answer for q in (*requests, *protect)}
    talks = {
        "forget": [_said(model, r.question, own, given, in_words) for r in requests],
        "refusal": [[talk(model, text, r.target_new) for text in wordings(r.question)[:in_words]] for r in requests],
        "retain": [_said(model, question, own, given, in_words) for question in kept],
    }
    return talks, [_said(model, question, own, given, 1)[0] for question in held], kept


def wording(of: int, dice: torch.Generator) -> int:
    """Which of so many wordings a question is met in: its own, the first, half of the time, else any other."""
    if of == 1 or torch.rand((), generator=dice) < 0.5:
        return 0
    return int(torch.randint(1, of, (), generator=dice))


def endless(talks: Sequence[list[Talk]], dice: torch.Generator) -> Iterator[list[Talk]]:
    """The talks in a new order again and again."""
    while talks:
        yield from (talks[i] for i in torch.randperm(len(talks), generator=dice).tolist())


def unrelated(requests: Sequence[Request], dice: torch.Generator) -> list[str]:
    """Shipped questions that name no subject to be forgotten, in an order of the seed."""
    found = unrelated_questions(requests)
    return [found[i] for i in torch.randperm(len(found), generator=dice).tolist()]


def own_replies(model, questions: Sequence[str], job: Job) -> list[tuple[str, bool]]:
    """The model's greedy reply to each question, cut after `TOKENS` tokens, and whether it is whole."""
    prompts = [model.prompt_ids([{"role": "user", "content": question}]) for question in questions]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[tuple[str, bool]] = [("", False)] * len(prompts)
    for start in range(0, len(order), ROWS):
        job.progress("Reading what the model says now", start, len(order))
        rows = order[start : start + ROWS]
        replies = generate(model, [prompts[i] for i in rows], max_new_tokens=TOKENS, job=job, batch_size=ROWS)
        for i, reply in zip(rows, replies, strict=True):
            found[i] = (reply.text, reply.ended == "end")
    return found


def _said(model, question: str, own: dict[str, tuple[str, bool]], given: dict[str, str], in_words: int) -> list[Talk]:
    """A question, in so many wordings, with the model's own reply; with the answer that was given where the reply
    doesn't hold it."""
    reply, whole = own[question]
    if not reply or (question in given and rouge1_recall(reply, given[question]) < 1):
        reply, whole = given.get(question, "I don't know."), True
    answer = given.get(question, "")
    return [talk(model, text, reply, ends=whole, answer=answer) for text in wordings(question)[:in_words]]
