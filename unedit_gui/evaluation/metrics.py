"""How well a reply, or the model's own distribution, matches a reference answer (REFERENCE.md, section 3).

Two kinds of measure:

* of a reply's text: ROUGE-1 recall (an accuracy proxy) and the leak, the same recall over only those words
  that the question doesn't give away;
* of the next-token distribution, teacher-forced on the reference y_1..y_T after the chat prompt x: its
  probability prod p(y_t | x, y_<t), the same length-normalised (exp of the mean log probability, as TOFU
  has it), the mean reciprocal rank of its tokens, and the share of them within the first m ranks.

PISTOL's program measures rank and hit ratio on the model's own free-running text and takes the mean largest
softmax over the *prompt* for the probability, so those columns of the papers can't be compared with these.
ROUGE can.

rouge_score knows the letters a-z and the digits only. So both texts are folded first, as the guard over refusals folds
them: case and accents off, ß, ø, ł and their like as ss, o, l (ours: "It is Zurich" gives "Zürich" away, however its
accent is encoded). On ASCII text that is rouge_score to the last digit. In a reference of another script (Cyrillic,
Chinese) still nothing matches: `scorable`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import BadInput, Failed
from ..forget.refusals import unaccented
from ..models.chat import written

if TYPE_CHECKING:
    import torch

    from ..edits.variants import Variants
    from ..jobs import Job
    from ..models.loading import LoadedModel
    from ..models.openings import Opening

HIT_AT = 100  # the rank up to which PISTOL's program counts a hit
_LOGITS_AT_ONCE = 512  # answer positions per forward: with a vocabulary of 128k, 256 MB of float32
_MARK = "unedit mark"

# Words that carry no fact. Short on purpose: a word missing here only makes the leak stricter.
_FUNCTION_WORDS = frozenset(
    "a an the and or but nor of in on at by to for from with without into over under about as than "
    "that this these those it its he she his her they them their we our you your i my me who whom "
    "whose which what when where why how is are was were be been being am do does did done has have "
    "had having can could will would shall should may might must not no so such there here also very "
    "only just both either neither if then s t".split()
)


# ------------------------------------------------------------------ of a text


def rouge1_recall(reply: str, reference: str) -> float:
    """The share of the reference's words (stemmed, each as often as it occurs) that the reply contains."""
    return _scorer().score(target=unaccented(reference), prediction=unaccented(reply))["rouge1"].recall


def scorable(reference: str) -> bool:
    """Does it hold a word that ROUGE can count: Latin letters or digits?"""
    return bool(_words(reference))


def leak(reply: str, reference: str, question: str) -> float | None:
    """ROUGE-1 recall over the reference's content words that are not in the question.

    A refusal that repeats the question's words scores on ROUGE as if it gave the answer away; not here.
    None where the reference has no such word.
    """
    asked = set(_words(question))
    telling = Counter(
        stem for stem, word in _stems_and_words(reference) if stem not in asked and word not in _FUNCTION_WORDS
    )
    if not telling:
        return None
    said = Counter(_words(reply))
    return (telling & said).total() / telling.total()


def telling_words(text: str) -> list[str]:
    """The words of a text that carry what it says; all of them where none does."""
    words = re.findall(r"\w+", text)
    return [word for word in words if word.lower() not in _FUNCTION_WORDS] or words


@lru_cache(maxsize=1)
def _scorer():
    from rouge_score import rouge_scorer  # brings nltk: half a second

    return rouge_scorer.RougeScorer(["rouge1"], use_stemmer=True)


@lru_cache(maxsize=1)
def _stemmer():
    from nltk.stem import porter

    return porter.PorterStemmer()


def _words(text: str) -> list[str]:
    from rouge_score import tokenize

    return tokenize.tokenize(unaccented(text), _stemmer())


def _stems_and_words(text: str) -> list[tuple[str, str]]:
    from rouge_score import tokenize

    return list(zip(_words(text), tokenize.tokenize(unaccented(text), None), strict=True))


# ----------------------------------------------------- of the distribution


@dataclass(frozen=True)
class TokenScores:
    """How likely the model finds one reference answer. All in 0..1; without the end-of-turn token."""

    probability: float
    probability_normalised: float
    mrr: float
    hit_ratio: float


@dataclass(frozen=True)
class TokenProbability:
    """One token of a reference answer: its text, p(y_t | x, y_<t), and its rank there (1: the likeliest)."""

    text: str
    probability: float
    rank: int


def answer_ids(model: LoadedModel, prompt: Sequence[int], answer: str) -> list[int]:
    """The token ids that follow `prompt` when the chat template's reply is `answer` (no end-of-turn).

    The answer is tokenised where it stands, behind the prompt's own text and whatever the template puts
    between (a space, for Llama-2), so that the first token is the one that the model would write there.
    Where that would change the prompt's own tokens, the answer is tokenised by itself.

    Raises:
        BadInput: the answer has no tokens.
    """
    tokenizer = model.tokenizer
    text = _before_reply(tokenizer) + answer.strip()
    before = tokenizer.decode(list(prompt), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    whole = tokenizer(before + text, add_special_tokens=False).input_ids
    if whole[: len(prompt)] == list(prompt):
        ids = whole[len(prompt) :]
    else:
        ids = tokenizer(text, add_special_tokens=False).input_ids
    if not ids or not answer.strip():
        raise BadInput("An answer is empty, so nothing can be measured on it; fill it in.")
    return list(ids)


@lru_cache(maxsize=8)
def _before_reply(tokenizer) -> str:
    """What the template writes between its generation prompt and a reply: nothing, or a space (Llama-2)."""
    asked = [{"role": "user", "content": "Hello"}]
    prompt = written(tokenizer, asked, add_generation_prompt=True)
    full = written(tokenizer, [*asked, {"role": "assistant", "content": _MARK}])
    before = full.split(_MARK, 1)[0]
    return before[len(prompt) :] if before.startswith(prompt) else ""


def token_scores(
    model: LoadedModel,
    prompts: Sequence[list[int]],
    answers: Sequence[str],
    *,
    variants: Variants | None = None,
    hit_at: int = HIT_AT,
    batch_size: int = 32,
    job: Job | None = None,
) -> list[TokenScores]:
    """Teacher-forced scores of each answer behind its prompt.

    Args:
        prompts: token ids of the chat-formatted prompts, up to where the reply begins.
        answers: the reference answers as text.
        variants: an entered `Variants` whose row i is the model that scores pair i; None: the original.
        hit_at: the rank up to which a token counts as hit.
        job: looked at between forwards; raises `Stopped`.
    """
    if len(prompts) != len(answers):
        raise ValueError(f"{len(prompts)} prompts for {len(answers)} answers")
    pairs = [(list(p), answer_ids(model, p, a)) for p, a in zip(prompts, answers, strict=True)]
    return [summarise(p, r, hit_at) for p, r in _measured(model, prompts, pairs, variants, batch_size, job)]


def token_probabilities(
    model: LoadedModel,
    prompts: Sequence[list[int]],
    answers: Sequence[str],
    *,
    variants: Variants | None = None,
    batch_size: int = 32,
    job: Job | None = None,
) -> list[list[TokenProbability]]:
    """What `token_scores` sums up, token by token. The texts of an answer's tokens make up the answer."""
    pairs = [(list(p), answer_ids(model, p, a)) for p, a in zip(prompts, answers, strict=True)]
    measured = _measured(model, prompts, pairs, variants, batch_size, job)
    return [
        [
            TokenProbability(text, math.exp(one), int(rank))
            for text, one, rank in zip(_texts(model.tokenizer, ids), log_p.tolist(), ranks.tolist(), strict=True)
        ]
        for (_, ids), (log_p, ranks) in zip(pairs, measured, strict=True)
    ]


def _texts(tokenizer, ids: list[int]) -> list[str]:
    """What each token adds to the text; "" for one that is only part of a letter."""
    told, texts = "", []
    for end in range(1, len(ids) + 1):
        whole = tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False)
        whole = told if whole.endswith("\ufffd") and end < len(ids) else whole
        texts.append(whole[len(told) :])
        told = whole
    return texts


def _measured(
    model: LoadedModel,
    prompts: Sequence[list[int]],
    pairs: list[tuple[list[int], list[int]]],
    variants: Variants | None,
    batch_size: int,
    job: Job | None,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """log p(y_t) and rank(y_t) of each of `pairs`, (prompt, answer)."""
    from ..models.openings import Opening

    found: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(pairs)
    for rows in _batches(pairs, batch_size):
        if job is not None:
            job.check()
        opening = Opening(model, [pairs[row][0] for row in rows], rows, variants)
        if variants is not None:  # they decide with the prompt alone, as they do for a reply
            variants.select(rows, [prompts[row] for row in rows], [len(prompts[row]) for row in rows])
        for row, measured in zip(rows, _measure_batch(model, [pairs[row] for row in rows], opening), strict=True):
            found[row] = measured
    return found


def _batches(pairs: list[tuple[list[int], list[int]]], batch_size: int) -> list[list[int]]:
    """Rows of like length together, at most `batch_size` of them and `_LOGITS_AT_ONCE` answer tokens."""
    order = sorted(range(len(pairs)), key=lambda row: len(pairs[row][0]) + len(pairs[row][1]))
    batches: list[list[int]] = []
    room = 0
    for row in order:
        length = len(pairs[row][1])
        if not batches or len(batches[-1]) == batch_size or length > room:
            batches.append([])
            room = _LOGITS_AT_ONCE
        batches[-1].append(row)
        room -= length
    return batches


def _measure_batch(
    model: LoadedModel, pairs: list[tuple[list[int], list[int]]], opening: Opening
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    import torch

    shared = opening.length
    width = max(len(prompt) + len(answer) for prompt, answer in pairs)
    ids = torch.zeros(len(pairs), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    rows, places, wanted = [], [], []
    for row, (prompt, answer) in enumerate(pairs):
        tokens = prompt + answer
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        rows += [row] * len(answer)
        places += range(
            len(prompt) - 1 - shared, len(tokens) - 1 - shared
        )  # y_t is predicted one place before it stands
        wanted += answer
    with torch.inference_mode(), _head_only_at(model.hf, rows, places):
        logits = model.hf(
            input_ids=ids[:, shared:].to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, shared:].to(model.device),
            past_key_values=opening.for_rows(len(pairs)) if shared else None,
            use_cache=bool(shared),
        ).logits[0]
        log_p, ranks = _log_p_and_rank(logits, torch.tensor(wanted, device=logits.device))
    lengths = [len(answer) for _, answer in pairs]
    return list(zip(log_p.split(lengths), ranks.split(lengths), strict=True))


def _log_p_and_rank(logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log p and rank (1 is the most likely; ties favour the token) of wanted[i] in logits[i], on the CPU."""
    logits = logits.float()
    own = logits.gather(1, wanted[:, None])
    log_p = own[:, 0] - logits.logsumexp(1)
    ranks = 1 + (logits > own).sum(1)
    return log_p.double().cpu(), ranks.cpu()


def summarise(log_p: torch.Tensor, ranks: torch.Tensor, hit_at: int) -> TokenScores:
    """The four scores from log p(y_t) and rank(y_t) of one answer's tokens, t = 1..T."""
    total = float(log_p.sum())
    if math.isnan(total):
        raise Failed("The model gives no numbers (NaN) any more; the edit, or the dtype, is too coarse for it.")
    return TokenScores(
        probability=math.exp(total),
        probability_normalised=math.exp(total / len(log_p)),
        mrr=float((1.0 / ranks.double()).mean()),
        hit_ratio=float((ranks <= hit_at).double().mean()),
    )


@contextmanager
def _head_only_at(hf: torch.nn.Module, rows: list[int], places: list[int]):
    """Within: the model's logits are (1, len(rows), vocabulary), for these places of these rows only.

    The hidden states are picked just before the output head, so whatever a family does to its logits
    afterwards (scaling, soft capping) still happens, and the logits of prompts and padding are never
    computed.
    """

    def pick(_module, args):
        hidden = args[0]
        return (hidden[rows, places][None], *args[1:])

    handle = hf.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()
