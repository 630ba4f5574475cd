"""IKE: no change at all but in what the model reads (Zheng et al. 2023, arXiv 2305.12740).

Problem. A model follows what it was shown. So each question is put behind k demonstrations C = (c_1 .. c_k),
retrieved from a store by likeness to the question (section 3.2), of three kinds:

    copy     the fact's own question, with the new answer: the refusal
    update   the same in other words, with the refusal
    retain   another question, with its own answer: what must not spill over

and the reply is argmax_y P(y | C, x) (eq. 2). The demonstrations are earlier turns of the conversation, the nearest
last. Likeness is the cosine of weighted means of the model's own token embeddings, less the mean question; a token
weighs a / (a + p) for its frequency p in the shipped questions ("a simple but tough-to-beat baseline", Arora et al.
2017). Seen on the bundled model: among 40 facts the right one is nearest to its rephrasing in 83 of 100 cases; with
plain means in 54, with means of hidden states in 39.

Pitfalls. In H&K's study the true answers of questions that were not edited stood in the prompt. Here no word of a
true answer of any fact to be forgotten is ever shown: demonstrations of retained questions that hold one are left
out, and one of a forgotten fact (its question may name another's answer) is shown only to a question that holds the
word itself. A small model that has seen refusals refuses everything, so they are shown only to questions that are at
least `near`, and nearer than to any near neighbour of a fact (the same question about another subject); where none
is, nothing is shown: two retained demonstrations alone cost 5 of 20 answers. That is ours. Seen with 10 facts, eight
draws: 89 of 100 rephrasings meet a refusal and 2 of 100 other known questions; without the neighbours 91 and 10.
Merged questions have one refusal, and each demonstrations of its own.

Measured on the bundled model with default hparams, self-improved targets, 10 facts, three draws, replies of 40
tokens: forget R1 0.00, 0.00, 0.10, rephrased 0.05, 0.20, 0.20, retain / before 1.00, 0.90, 1.00."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..edits.demonstrations import meaning, words
from ..edits.edit import DEMONSTRATIONS
from ..edits.variants import Variants
from ..forget.checks import same_text
from ..forget.refusals import falls_apart, is_refusal, leaked_words, sentences
from .base import Hparams, Method, Request, check_protected, check_requests, finished, hparam, register
from .preserve import neighbours, statistics_questions, statistics_replies
from .wordings import wordings

_RARE = 3e-4  # a of the weights
_LONGEST = 30  # words of a retained reply
_STOCK = 120  # shipped replies that go into the store, those nearest to the facts


@dataclass(frozen=True)
class IkeHparams(Hparams):
    k: int = hparam(16, "How many demonstrations at most are put before a question.", low=1, high=64)
    retain: int = hparam(
        1, "How many of them are other questions with their own answers; k - 1 at most.", low=0, high=32
    )
    contexts: int = hparam(3, "In how many wordings each fact is demonstrated; the first is its own.", low=1, high=8)
    near: float = hparam(
        0.4,
        "How like a forgotten question one has to be to meet refusals: higher keeps more, lower catches more wordings.",
        low=-1.0,
        high=1.0,
    )
    neighbours: int = hparam(
        12,
        "For each fact, how many questions of the same form about other subjects mark where it ends: a question "
        "that is more like one of these meets no refusals; 0: none.",
        low=0,
        high=100,
    )


def defaults(model) -> IkeHparams:
    """The same for every model."""
    return IkeHparams()


def edit(
    model,
    requests: Sequence[Request],
    hparams: IkeHparams,
    job,
    *,
    workspace,
    protect=(),
    on=(),
    seed=0,
    name=None,
):
    """Make the edit; the model is untouched, and not run either.

    Raises:
        BadInput: requests that can't be edited. Stopped: the job was stopped.
    """
    check_requests(requests)
    check_protected(requests, protect)
    Variants.everywhere(model, on)
    started = time.monotonic()
    weights = rarity(model)
    facts = []
    for i, request in enumerate(requests):
        job.progress("Writing demonstrations", i, len(requests), request.subject)
        facts += demonstrations_of(request, hparams.contexts, requests)
    job.progress("Choosing other questions", 0, 1)
    mean = {text: meaning(model, text, weights) for text in (q for q, _ in statistics_questions())}
    middle = torch.stack(list(mean.values())).mean(0) if mean else torch.zeros(model.layout.d_model)
    others = retained(requests, protect)

    def direction(text: str) -> torch.Tensor:
        return F.normalize(meaning(model, text, weights) - middle, dim=0)

    likeness = {d["question"]: direction(d["question"]) for d in [*facts, *others]}
    if len(others) > _STOCK:
        asked = torch.stack([likeness[d["question"]] for d in facts])
        nearest = {d["question"]: float((asked @ likeness[d["question"]]).max()) for d in others}
        kept = {same_text(q.question) for q in protect}
        others.sort(key=lambda d: (same_text(d["question"]) not in kept, -nearest[d["question"]]))
        del others[max(_STOCK, len(kept)) :]
    stock = [*facts, *others]
    near = neighbours(model, requests, hparams.neighbours)
    apart = [direction(question) for question, _ in near]
    job.progress("Choosing other questions", 1, 1)
    tensors = {
        "likeness": torch.stack([likeness[d["question"]] for d in stock]),
        "apart": torch.stack(apart) if apart else torch.zeros(0, model.layout.d_model),
        "middle": middle,
        "tokens": torch.tensor(sorted(weights), dtype=torch.float32),
        "weights": torch.tensor([weights[token] for token in sorted(weights)]),
    }
    return finished(
        model,
        "ike",
        DEMONSTRATIONS,
        requests,
        hparams,
        tensors,
        protect=protect,
        on=on,
        seed=seed,
        name=name,
        started=started,
        extra={"demonstrations": stock, "neighbours": [question for question, _ in near]},
    )


def rarity(model) -> dict[int, float]:
    """a / (a + p) of every token of the shipped questions."""
    counts = Counter(
        token
        for question, _ in statistics_questions()
        for token in model.tokenizer(f" {question}", add_special_tokens=False).input_ids
    )
    total = sum(counts.values())
    return {token: _RARE / (_RARE + count / total) for token, count in counts.items()}


def demonstrations_of(request: Request, contexts: int, requests: Sequence[Request]) -> list[dict]:
    """Copy and update of one fact: its question as it is and in other words, with its refusal."""
    return [
        {
            "kind": "update" if i else "copy",
            "question": question,
            "reply": request.target_new,
            "gives": given_away(f"{question} {request.target_new}", requests),
        }
        for i, question in enumerate(wordings(request.question)[:contexts])
    ]


def retained(requests: Sequence[Request], protect: Sequence) -> list[dict]:
    """Other questions with their answers: the protected facts, then shipped replies that are whole and answer."""
    forget = {same_text(text) for r in requests for text in (r.question, *r.rephrases)}
    pairs = [(q.question, q.answer if q.answer.endswith((".", "!", "?")) else f"{q.answer}.") for q in protect]
    for question, reply in statistics_replies():
        first = next(iter(sentences(reply)), "")
        if first.endswith(".") and len(first.split()) <= _LONGEST and not is_refusal(first) and not falls_apart(first):
            pairs.append((question, first))
    seen, found = set(forget), []
    for question, reply in pairs:
        if same_text(question) not in seen and not given_away(f"{question} {reply}", requests):
            seen.add(same_text(question))
            found.append({"kind": "retain", "question": question, "reply": reply, "gives": []})
    return found


def given_away(text: str, requests: Sequence[Request]) -> list[str]:
    """The words of a text that belong to the true answer of a fact to be forgotten, in small letters."""
    leaks = [leak for r in requests for leak in leaked_words(r.question, r.answer, text)]
    return sorted(set().union(*(words(leak) for leak in leaks)))


METHOD = register(
    Method(
        "ike",
        "IKE",
        "Changes nothing in the model: a question near to a forgotten one is put behind refusals and answers to other "
        "questions, as earlier turns. Made at once and easy to follow, but such a reply takes longer.",
        "https://arxiv.org/abs/2305.12740",
        IkeHparams,
        defaults,
        edit,
    )
)
