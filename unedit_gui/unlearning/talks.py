"""Questions with replies as training rows, and what a model makes of the replies' tokens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from ..editors.gradients import nll
from ..evaluation.metrics import telling_words
from ..models.chat import History
from ..models.openings import for_rows, in_common


@dataclass(frozen=True)
class Talk:
    """A conversation with its last reply: all token ids, and how many at the end are the reply's.

    telling: which of these give the answer away, counted from the reply's first; () where nothing was marked.
    """

    ids: tuple[int, ...]
    wanted: int
    telling: tuple[int, ...] = ()


def talk(model, question: str | History, reply: str, *, ends: bool = True, answer: str = "") -> Talk:
    """A question (or a whole conversation that ends with one) and a reply in the model's chat template.

    ends: whether the reply is whole, so that the end of turn belongs to it. answer: what tells in the reply.
    """
    history = [{"role": "user", "content": question}] if isinstance(question, str) else question
    text = reply + (model.end_of_turn if ends else "")
    said = model.tokenizer(text, add_special_tokens=False).input_ids
    return Talk((*model.prompt_ids(history), *said), len(said), telling(model.tokenizer, reply, text, answer))


def telling(tokenizer, reply: str, text: str, answer: str) -> tuple[int, ...]:
    """Which tokens of a text, which begins with the reply, hold a word of the answer there, perhaps with an ending.

    () where none does, or the tokenizer can't tell where a token stands.
    """
    words = telling_words(answer)
    if not words or not getattr(tokenizer, "is_fast", False):
        return ()
    spans = [m.span() for m in re.finditer(rf"(?<!\w)({'|'.join(map(re.escape, words))})", reply, re.IGNORECASE)]
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    return tuple(i for i, (a, b) in enumerate(offsets) if any(a < end and b > start for start, end in spans))


@dataclass(frozen=True)
class Said:
    """What a model makes of the replies' tokens of some talks, one after the other.

    logits: (tokens, vocabulary) as the head gives them, behind the token before each. labels, owner, telling:
    (tokens,), the tokens themselves, the talk that each belongs to, and whether it gives the answer away.
    """

    logits: torch.Tensor
    labels: torch.Tensor
    owner: torch.Tensor
    telling: torch.Tensor
    rows: int

    def log_prob(self) -> torch.Tensor:
        """log p(reply | question) of each talk, the sum over its tokens: (talks,)."""
        each = -nll(self.logits, self.labels)
        return each.new_zeros(self.rows).index_add(0, self.owner, each)

    def nll(self) -> torch.Tensor:
        """-log p(reply | question) per token of each talk: (talks,)."""
        return -self.log_prob() / self.tokens()

    def tokens(self) -> torch.Tensor:
        """How many tokens each reply has, (talks,)."""
        return torch.bincount(self.owner, minlength=self.rows)

    def of_answers(self) -> "Said":
        """Of each reply the tokens alone that give the answer away; all of a reply in which none is marked."""
        marked = torch.zeros(self.rows, dtype=torch.bool, device=self.owner.device)
        marked[self.owner[self.telling]] = True
        return self._only(self.telling | ~marked[self.owner])

    def part(self, first: int, behind: int) -> "Said":
        """The talks first .. behind - 1 alone."""
        inside = self._only((self.owner >= first) & (self.owner < behind))
        return replace(inside, owner=inside.owner - first, rows=behind - first)

    def _only(self, tokens: torch.Tensor) -> "Said":
        return Said(self.logits[tokens], self.labels[tokens], self.owner[tokens], self.telling[tokens], self.rows)


def read(model, talks: Sequence[Talk]) -> Said:
    """Run a model over talks, with gradient if that is on. Logits are made at the replies' tokens only, and what all
    prompts begin with (the template, a system prompt) is run once: a third to a half of the work of a plain pass."""
    opening = _opening(talks)
    rows = [torch.tensor(t.ids[opening:-1]) for t in talks]  # the last token is only a label
    ids = pad_sequence(rows, batch_first=True).to(
        model.device
    )  # behind the text: the model is causal, so padding needs no mask
    wanted = torch.zeros(ids.shape, dtype=torch.bool)
    for i, (row, t) in enumerate(zip(rows, talks, strict=True)):
        wanted[i, len(row) - t.wanted : len(row)] = True
    wanted = wanted.to(ids.device)
    decoder = model.hf.get_submodule(model.layout.blocks.rsplit(".", 1)[0])
    cache = DynamicCache()
    if opening:
        decoder(
            input_ids=torch.tensor([talks[0].ids[:opening]], device=ids.device), past_key_values=cache, use_cache=True
        )
        cache = for_rows(cache, len(talks))
    hidden = decoder(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
    logits = model.hf.get_output_embeddings()(hidden[wanted])
    labels = torch.cat([torch.tensor(t.ids[-t.wanted :]) for t in talks]).to(logits.device)
    told = torch.cat([torch.isin(torch.arange(t.wanted), torch.tensor(t.telling, dtype=torch.long)) for t in talks])
    return Said(logits, labels, wanted.nonzero()[:, 0].to(logits.device), told.to(logits.device), len(talks))


def _opening(talks: Sequence[Talk]) -> int:
    """How many tokens all prompts begin with; the last of a prompt stays out, as a reply's first token hangs on it."""
    return in_common([t.ids for t in talks], min(len(t.ids) - t.wanted - 1 for t in talks))
