"""Causal tracing: where in the model a fact is read (Meng et al. 2022, arXiv 2202.05262, section 2.1).

Problem. A question with subject s has the answer o. Three runs tell which states carry the way from s to o:

    clean                       the model as it is; p(o)
    corrupted                   h_i^0 += eps, eps ~ N(0, (3 sigma)^2), at every token i of the subject; p*(o)
    corrupted with restoration  the same, and one state is put back to what it was in the clean run; p*_clean(o)

The indirect effect of a state is p*_clean(o) - p*(o), averaged over draws of eps. A state whose return brings the
answer back carries the fact. The map of all states, tokens by layers, shows an early site at the subject's last
token, where the MLPs matter, and a late one at the end of the prompt, where attention has fetched the answer
(sections 2.2, 2.3). ROME, MEMIT and AlphaEdit write at the early one. Three kinds of state:

    hidden      the output of a block, h_i^l
    mlp         what the MLPs of a window of layers around l add at token i  (10 layers of GPT-2 XL's 48)
    attention   what the attention of that window adds

sigma is the standard deviation of the token embeddings of subjects (the shipped questions' and this one's).

Ours:

* A chat model opens its reply with words of its own ("The capital of Japan is Tokyo"). So the reply is begun as the
  model begins it, or with one of LEADS, whichever makes the answer likeliest; of the answer the first OF_ANSWER
  tokens count, all of them together. Where these words name the subject they give the answer away, and the finished
  edit acts there as well (values.py). So every mention of it is corrupted, and restored, together.
* Causal: what stands before the subject is the same in all runs, so it is run once. A restored state changes nothing
  at or below its layer, nor before its token: only later layers and tokens are run, from the corrupted run's own
  states. All draws, and several tokens, are rows of one batch. A test holds this together with plain hooks.
* Which words matter at all: each word of the question is corrupted by itself. Where no subject is known, the words
  that cost most are proposed. They need not be what an edit should hang on: in "What is the capital of Japan?" the
  word "capital" costs as much as "Japan". So a subject that is known is doubted only if it costs clearly less.

Pitfalls. Where a fact is read isn't always where it is best edited (Hase et al. 2023, arXiv 2301.04213, find that the
two hardly go together). And one question's map is rougher than the papers' averages over a thousand.

Measured on the bundled model, four draws, one thread: 21 to 27 s of processor time for a question with 6 or 7 rows.
For the capital of Japan four draws put the peak at layer 8, a single one at layer 5. Whether edits at the layers
proposed are better than at the defaults was not measured.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..errors import BadInput
from ..forget.grammar import words_of
from ..models.layout import attention_of, down_of
from ..models.partial import above, cache_above
from .arithmetic import quick_arithmetic
from .base import METHODS, ValueHparams
from .locate import last_word
from .preserve import statistics_questions
from .tracing_clean import KINDS, Clean, candidates, probability_of, watched

NOISE = 3.0  # in sigma
WINDOW, OF = 10, 48  # layers of a window, in a model of so many
TEMPLATE = "(template)"
_TOGETHER = 4  # tokens restored in one batch: with more, more positions are run in vain
_DOUBT = 0.5  # a subject that costs less than this share of what the costliest word does is doubted
_PEAK = 0.1  # of what corruption takes: an effect below it points to no layer


@dataclass(frozen=True)
class Trace:
    """Where a fact was found.

    Attributes: `lead`, the words with which the reply was begun. `tokens`: the tokens whose states were restored, from
    the subject's first to the last before the answer ("×2": of two mentions together); `last` is the place of the
    subject's last among them. `hidden`, `mlp`, `attention`: the mean indirect effect [token][layer], in probability.
    `clean`, `corrupted`: p(o), p*(o). `window`: layers of a window; `noise`: 3 sigma. `words`: (word of the question,
    the share of p(o) that its corruption takes). `proposed`: the subject that these speak for.
    """

    question: str
    answer: str
    subject: str
    lead: str
    tokens: tuple[str, ...]
    last: int
    clean: float
    corrupted: float
    hidden: tuple[tuple[float, ...], ...]
    mlp: tuple[tuple[float, ...], ...]
    attention: tuple[tuple[float, ...], ...]
    window: int
    noise: float
    samples: int
    words: tuple[tuple[str, float], ...]
    proposed: str

    @property
    def layers(self) -> int:
        """How many the model has."""
        return len(self.hidden[0])

    @property
    def cost(self) -> float:
        """The share of p(o) that corrupting the subject takes."""
        return 1 - self.corrupted / self.clean

    @property
    def peak(self) -> int | None:
        """The layer around which the MLPs at the subject's last token bring most back; None: next to nothing.

        Windows that hold the first block are left out: its MLP, which sees little but the token itself, brings nearly
        everything back.
        """
        row, first = self.mlp[self.last], self.window // 2 + 1
        best = max(range(first, self.layers - 1), key=row.__getitem__, default=None)  # the last block is never edited
        return best if best and row[best] > _PEAK * max(self.clean - self.corrupted, 0) else None

    def best_layers(self, count: int) -> tuple[int, ...] | None:
        """So many layers in a row whose MLPs bring most back in sum, which the noise shifts less than the peak; None
        where there is no peak."""
        if self.peak is None:
            return None
        row, count = self.mlp[self.last], min(count, self.layers - 1)
        last = self.layers - 1 - count
        first = max(range(min(self.window // 2 + 1, last), last + 1), key=lambda start: sum(row[start : start + count]))
        return tuple(range(first, first + count))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**asdict(self), "layers": self.layers, "cost": self.cost, "peak": self.peak}


@torch.no_grad()
def trace(
    model,
    question: str,
    answer: str | None = None,
    subject: str | None = None,
    *,
    samples: int = 4,
    seed: int = 0,
    precise: bool = False,
    job=None,
) -> Trace:
    """Trace one question.

    Args:
        answer: None: what the model says itself.
        subject: a span of the question; None: the words that cost most.
        samples: draws of the noise.
        precise: full float32, also where the processor is quicker in bfloat16.

    Raises:
        BadInput: the model doesn't say this answer, the subject isn't in the question.
        Failed: the tokenizer can't tell where a word stands. Stopped.
    """
    if not question.strip() or (answer is not None and not answer.strip()):
        raise BadInput("There is no question or no answer to trace; give both, or leave the answer out.")
    if subject is not None and not (subject.strip() and last_word(subject, question) >= 0):
        raise BadInput(f"The subject {subject!r} is not part of the question {question!r}.")
    answers = candidates(model, question, answer, job)
    with quick_arithmetic(model, precise):
        clean = Clean(model, question, answers)
        noise = NOISE * _spread_of_embeddings(model, subject or question)

        def corrupted(mentions: Sequence[Sequence[int]]) -> "Corrupted":
            return Corrupted(clean, mentions, noise, samples, seed)

        words, costs = clean.words(), []
        for i, (_, mentions) in enumerate(words):
            _report(job, "Corrupting word by word", i, len(words))
            costs.append(1 - corrupted(mentions).probability / clean.probability)
        costliest = _run_of_words(question, costs)
        subject = subject or costliest
        mentions = clean.mentions_of(subject)
        run = corrupted(mentions)
        cost = 1 - run.probability / clean.probability
        maps = run.maps(job)
    return Trace(
        question=question,
        answer=clean.answer,
        subject=subject,
        lead=clean.lead,
        tokens=tuple(run.label(group) for group in run.groups),
        last=next(i for i, group in enumerate(run.groups) if mentions[0][-1] in group),
        clean=clean.probability,
        corrupted=run.probability,
        window=_window(model),
        noise=noise,
        samples=samples,
        words=tuple((word, round(cost, 4)) for (word, _), cost in zip(words, costs, strict=True)),
        proposed=costliest if costs and cost < _DOUBT * max(costs) else subject,
        **{kind: tuple(tuple(round(p, 6) for p in row) for row in maps[kind].tolist()) for kind in KINDS},
    )


def layers_for(model, found: Trace) -> dict[str, tuple[int, ...]]:
    """What a trace proposes for the methods that write at the subject: as many layers as they change by default,
    where most comes back. Empty where there is no peak."""
    proposed = {}
    for name, method in METHODS.items():
        defaults = method.defaults(model)
        layers = found.best_layers(len(defaults.layers)) if isinstance(defaults, ValueHparams) else None
        if layers:
            proposed[name] = layers
    return proposed


class Corrupted:
    """The corrupted run, `samples` rows of it, from the first corrupted token on; and runs with restoration."""

    def __init__(self, clean: Clean, mentions: Sequence[Sequence[int]], noise: float, samples: int, seed: int):
        self.clean, self.model, self.samples = clean, clean.model, samples
        self.places, self.first = sorted({p for mention in mentions for p in mention}), mentions[0][0]
        start = clean.states["input"][0][:, self.first :].repeat(samples, 1, 1)
        dice = torch.Generator().manual_seed(seed)
        eps = noise * torch.randn(samples, len(self.places), start.shape[-1], generator=dice)
        start[:, [place - self.first for place in self.places]] += eps.to(start)
        prefix = [(k[..., : self.first, :], v[..., : self.first, :]) for k, v in clean.cache]
        with watched(self.model) as states:
            out, self.cache = self._run(-1, start, [_rows(pair, samples) for pair in prefix], 0)
        self.input, self.outputs = start, states["hidden"]
        self.probability = float(self._answer(out, 0).mean())
        self.groups = self._groups(mentions)

    def _groups(self, mentions: Sequence[Sequence[int]]) -> list[list[int]]:
        """What is restored together, by the place of the first: each token of the subject in all its mentions (its
        last with their last), the template's tokens between question and reply, every other token by itself."""
        named, longest = [], max(map(len, mentions))
        for back in range(1, longest + 1):
            named.append([mention[-back] for mention in mentions if len(mention) >= back])
        named += [list(self.clean.template)] if len(self.clean.template) else []
        rest = set(range(self.first, self.clean.reads[0] + 1)) - {p for group in named for p in group}
        return sorted([*named, *([p] for p in rest)])

    def label(self, group: Sequence[int]) -> str:
        """A group as people read it."""
        if group[0] in self.clean.template:
            return TEMPLATE
        text = self.model.tokenizer.decode([self.clean.ids[group[0]]]).replace("\n", "↵").strip() or "␣"
        return f"{text} ×{len(group)}" if len(group) > 1 else text

    def maps(self, job) -> dict[str, torch.Tensor]:
        """The mean indirect effect of each kind of state, (groups, layers)."""
        groups, layers = len(self.groups), self.model.layout.layers
        found = {kind: torch.zeros(groups, layers) for kind in KINDS}
        done, total = 0, -(-groups // _TOGETHER) * layers * len(KINDS)
        for first in range(0, groups, _TOGETHER):
            chosen = list(range(first, min(first + _TOGETHER, groups)))
            prefix = self.prefix(chosen)
            for layer in range(layers):
                for kind in KINDS:
                    _report(job, "Restoring state by state", done, total)
                    found[kind][chosen, layer] = (self.restored(kind, layer, chosen, prefix) - self.probability).cpu()
                    done += 1
        return found

    def prefix(self, chosen: Sequence[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of all blocks before the first token of some groups, a row for each group and draw."""
        before = self.groups[chosen[0]][0]
        return [_rows((k[..., :before, :], v[..., :before, :]), len(chosen)) for k, v in self.cache]

    def restored(self, kind: str, layer: int, chosen: Sequence[int], prefix: list) -> torch.Tensor:
        """p*_clean(o) with one state of each of some groups put back, (groups,)."""
        start, half = self.groups[chosen[0]][0] - self.first, _window(self.model) // 2
        first, behind = max(0, layer - half), min(self.model.layout.layers, layer - half + _window(self.model))
        below_it = layer if kind == "hidden" else first - 1  # the last block whose output stays as it was
        hidden = self.outputs[below_it] if below_it >= 0 else self.input
        hidden = hidden[:, start:].repeat(len(chosen), 1, 1)  # row i * samples + j: group i, draw j
        where = [(i, place) for i, group in enumerate(chosen) for place in self.groups[group]]
        rows = torch.tensor([i * self.samples + j for i, _ in where for j in range(self.samples)])
        places = torch.tensor([place for _, place in where]).repeat_interleave(self.samples)
        if kind == "hidden":
            hidden[rows, places - self.first - start] = self.clean.states[kind][layer][0, places]
            out, _ = self._run(layer, hidden, prefix, start)
        else:
            with self._put_back(kind, range(first, behind), rows, places, start):
                out, _ = self._run(below_it, hidden, prefix, start)
        return self._answer(out, start).reshape(len(chosen), self.samples).mean(1)

    @contextmanager
    def _put_back(self, kind: str, layers: Sequence[int], rows, places, start: int) -> Iterator[None]:
        """What these layers' MLPs or attentions add is what it was in the clean run, in these rows at these places."""
        handles, part = [], {"mlp": down_of, "attention": attention_of}[kind]
        for layer in layers:
            was = self.clean.states[kind][layer][0, places]

            def restore(_m, _a, output, was=was):
                output = output.clone()
                output[rows, places - self.first - start] = was.to(output)
                return output

            handles.append(part(self.model.hf, self.model.layout, layer).register_forward_hook(restore))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _run(self, layer: int, hidden: torch.Tensor, prefix: list, start: int):
        """The blocks above `layer`, from token `start` on: (last hidden states, [(keys, values)] of these blocks)."""
        end = len(self.clean.ids)
        inputs = {
            "inputs_embeds": hidden,
            "position_ids": torch.arange(self.first + start, end, device=hidden.device)[None],
        }
        part = above(self.model.hf, self.model.layout, layer)
        if layer + 1 == len(prefix):  # nothing but the norm is left
            return part(**inputs, use_cache=False).last_hidden_state, []
        cache = cache_above(prefix[layer + 1 :], layer)
        out = part(**inputs, past_key_values=cache, use_cache=True).last_hidden_state
        return out, [(entry.keys, entry.values) for entry in cache.layers[layer + 1 :]]

    def _answer(self, out: torch.Tensor, start: int) -> torch.Tensor:
        reads = [read - self.first - start for read in self.clean.reads]
        return probability_of(self.model, out, reads, self.clean.wanted)


def _rows(pair: tuple[torch.Tensor, torch.Tensor], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return pair[0].repeat(count, 1, 1, 1), pair[1].repeat(count, 1, 1, 1)


def _window(model) -> int:
    return max(1, round(WINDOW * model.layout.layers / OF))


def _spread_of_embeddings(model, subject: str) -> float:
    """sigma: the standard deviation of all numbers in the embeddings of subjects' tokens."""
    subjects = dict.fromkeys([subject, *(s for _, s in statistics_questions() if s)])
    ids = [i for s in subjects for i in model.tokenizer(f" {s}", add_special_tokens=False).input_ids]
    return float(model.hf.get_input_embeddings()(torch.tensor(ids, device=model.device)).float().std())


def _run_of_words(question: str, costs: Sequence[float]) -> str:
    """The costliest word of a question, with its neighbours that cost at least half of that."""
    words = words_of(question)
    if not costs:
        return question.strip()
    first = last = max(range(len(costs)), key=costs.__getitem__)
    enough = costs[first] / 2
    while first > 0 and costs[first - 1] >= enough:
        first -= 1
    while last + 1 < len(costs) and costs[last + 1] >= enough:
        last += 1
    return question[words[first].start : words[last].end]


def _report(job, stage: str, done: int, total: int) -> None:
    if job is not None:
        job.progress(stage, done, total)
