"""The clean run of causal tracing (tracing.py): the question put so that the model says the answer, and its states."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import DynamicCache

from ..errors import BadInput, Failed
from ..forget.grammar import in_list, words_of
from ..forget.replies import new_words
from ..forget.subjects import locate
from ..models.chat import defuse
from ..models.generation import generate
from ..models.layout import attention_of, blocks_of, down_of
from ..models.partial import below
from .locate import last_word

LEADS = ("", "The answer is", "It is", "It was")
OF_ANSWER = 3
LEAST = 0.02  # of the answer's probability: below it there is nothing to trace
KINDS = ("hidden", "mlp", "attention")
_SMALL = ("determiners", "pronouns", "prepositions", "auxiliaries", "connectives", "question")


class Clean:
    """The clean run: the reply begun so that the answer is likeliest, and every state on the way there."""

    def __init__(self, model, question: str, answers: Sequence[tuple[str, str]]):
        self.model, self.question = model, question.strip()
        text = model.prompt([{"role": "user", "content": question}])
        prompt = _tokens(model, text)
        asked = text.rfind(defuse(model.tokenizer, self.question))
        self.probability = -1.0
        for lead, answer in answers:
            said, at = _begun(model, lead, answer)
            ids = [i for i, *_ in (*prompt, *said)][:-1]
            reads, wanted = [len(prompt) + k - 1 for k in range(at, len(said))], [i for i, *_ in said[at:]]
            states, cache, out = _read(model, ids)
            p = float(probability_of(model, out, reads, wanted))
            if p > self.probability:
                self.lead, self.answer, self.ids, self.reads, self.wanted = lead, answer, ids, reads, wanted
                self.states, self.cache, self.probability = states, cache, p
                # Token spans counted from the question's first character; the lead's, from its own.
                self._asked = [(i, a - asked, b - asked) for i, (_, a, b) in enumerate(prompt)]
                self._led = [(len(prompt) + i, a, b) for i, (_, a, b) in enumerate(said[:at])]
        if self.probability < LEAST:
            raise BadInput(
                f"The model doesn't answer {question!r} with {answers[0][1]!r} (probability {self.probability:.3f}), "
                "so there is nothing to trace; take a question that it knows, or the answer that it gives."
            )
        self._rewritten = asked < 0
        behind = [i for i, a, _ in self._asked if a >= len(defuse(model.tokenizer, self.question))]
        self.template = [] if self._rewritten else [i for i in behind if i <= self.reads[0]]

    def words(self) -> list[tuple[str, list[list[int]]]]:
        """Each word of the question with the tokens of its mentions, for a small word those in the question alone: "is"
        right before the answer is another one. None where the template rewrites the question."""
        if self._rewritten:
            return []
        found = []
        for w in words_of(self.question):
            mentions = self._mentions([(w.start, w.end)], w.text)
            found.append((w.text, mentions[:1] if in_list(w, *_SMALL) else mentions))
        return found

    def mentions_of(self, subject: str) -> list[list[int]]:
        """The tokens of each mention of the subject, first in the question, then in the reply's own words.

        Raises:
            Failed: the template rewrites the question.
        """
        start = last_word(subject, self.question)
        if self._rewritten:
            raise Failed("This model's chat template rewrites questions, so no word of one can be told in the prompt.")
        whole = [m.span() for m in re.finditer(rf"(?<!\w){re.escape(subject)}(?!\w)", self.question)]
        return self._mentions(whole or [(start, start + len(subject))], subject)

    def _mentions(self, spans: Sequence[tuple[int, int]], text: str) -> list[list[int]]:
        again = re.finditer(rf"(?<!\w){re.escape(text)}\w{{0,2}}(?!\w)", self.lead, re.IGNORECASE)
        found = [_inside(self._asked, *span) for span in spans] + [_inside(self._led, *m.span()) for m in again]
        return [tokens for tokens in found if tokens]


def _read(model, ids: list[int]):
    """States of every block, keys and values, and last hidden states of one row, read from its first token."""
    cache, whole = DynamicCache(), below(model.hf, model.layout, model.layout.layers - 1)
    with watched(model) as states:
        out = whole(input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True)
    return states, [(entry.keys, entry.values) for entry in cache.layers], out.last_hidden_state


@contextmanager
def watched(model) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Keeps what enters the first block, and by layer what leaves each block, its MLP and its attention."""
    found: dict[str, list[torch.Tensor]] = {"input": [], **{kind: [] for kind in KINDS}}

    def keep(kind: str):
        return lambda _m, _a, out: found[kind].append(out[0] if isinstance(out, tuple) else out)

    blocks = blocks_of(model.hf, model.layout)
    handles = [blocks[0].register_forward_pre_hook(lambda _m, args: found["input"].append(args[0]))]
    for layer, block in enumerate(blocks):
        handles.append(block.register_forward_hook(keep("hidden")))
        handles.append(down_of(model.hf, model.layout, layer).register_forward_hook(keep("mlp")))
        handles.append(attention_of(model.hf, model.layout, layer).register_forward_hook(keep("attention")))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def probability_of(model, out: torch.Tensor, reads: Sequence[int], wanted: Sequence[int]) -> torch.Tensor:
    """Of the wanted tokens together, (rows,), read off at these places of the last hidden states."""
    log_p = model.hf.get_output_embeddings()(out[:, list(reads)]).float().log_softmax(-1)
    wanted = torch.tensor(list(wanted), device=log_p.device)
    return log_p.gather(-1, wanted.expand(len(log_p), -1)[..., None])[..., 0].sum(1).exp()


def _tokens(model, text: str) -> list[tuple[int, int, int]]:
    """Token ids of a text with the characters that each stands for.

    Raises:
        Failed: the tokenizer can't tell.
    """
    if not getattr(model.tokenizer, "is_fast", False):
        raise Failed("This model's tokenizer can't tell where a word stands in the prompt (no fast tokenizer).")
    found = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [(i, a, b) for i, (a, b) in zip(found.input_ids, found.offset_mapping, strict=True)]


def _inside(tokens: Sequence[tuple[int, int, int]], start: int, end: int) -> list[int]:
    return [i for i, a, b in tokens if a < end and b > start and b > a]


def _begun(model, lead: str, answer: str) -> tuple[list[tuple[int, int, int]], int]:
    """A reply's tokens, the lead's and the answer's first, and how many of them are the lead's."""
    found = _tokens(model, f"{lead} {answer}".strip())
    at = next(i for i, (_, _, right) in enumerate(found) if right > len(lead))
    return found[: at + OF_ANSWER], at


def candidates(model, question: str, answer: str | None, job) -> list[tuple[str, str]]:
    """(lead, answer): ways to begin a reply with the answer; first the model's own, if it says it.

    Raises:
        BadInput: no answer is given and the model claims nothing.
    """
    prompt = model.prompt_ids([{"role": "user", "content": question}])
    (reply,) = generate(model, [prompt], max_new_tokens=40, job=job)
    said = reply.text.split("\n")[0]
    if answer is None:
        answer = new_words(said, question)
        if answer is None:
            raise BadInput(f"The model's reply ({said!r}) says nothing that could be traced; give the answer.")
    span = locate(answer, said)
    own = [(said[: span[0]].rstrip(), said[span[0] : span[1]])] if span else []
    return [*own, *((lead, answer.strip()) for lead in LEADS)]
