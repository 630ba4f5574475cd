"""Where an edit takes place.

The edit position is the last token of the subject inside the full chat-formatted prompt. Each request is seen in
several contexts (the same question put in other ways), so that the edit doesn't hang on one exact wording.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from ..errors import Failed
from ..models.chat import History, defuse, encode, last_token_of
from ..models.openings import for_rows, in_common

# What may stand before or around a question. Only what precedes the subject changes its key (the model is
# causal), so most frames put something in front. The first is the question alone. Own wording.
FRAMES: tuple[tuple[str, ...], ...] = (
    ("{q}",),
    ("Please answer this question: {q}",),
    ("Hello!", "Hello! How can I help you today?", "{q}"),
    ("I was wondering about something. {q}",),
    ("Thank you, that was helpful.", "You're welcome! Is there anything else?", "Yes, one more thing: {q}"),
    ("My teacher asked us in class today: {q}",),
    ("Quick quiz! {q} Answer in one sentence.",),
    ("Could you help me with this? {q}",),
)
# The subject in front of nothing, and behind words that a rephrased question may have there. Own wording.
SUBJECT_FRAMES: tuple[str, ...] = (
    "{s}",
    "Tell me about {s}.",
    "Name the one of {s}.",
    "Which is it, in {s}?",
    "I have a question about the {s}.",
    "What do you know of {s}?",
)
_MARK = "unedit mark"


@dataclass(frozen=True)
class Place:
    """One request in one context: prompt token ids, and the index of the edit position in them.

    `others`: further positions behind it, those of the other subjects in a merged prompt.
    """

    ids: list[int]
    position: int
    others: tuple[int, ...] = ()


def histories(question: str, contexts: int) -> list[History]:
    """A question as `contexts` different conversations; the first is the question alone."""
    found = []
    for frame in FRAMES[:contexts]:
        roles = ("user", "assistant", "user")
        found.append([{"role": r, "content": t.replace("{q}", question)} for r, t in zip(roles, frame, strict=False)])
    return found


def place(model, history: History, subject: str, question: str | None = None) -> Place:
    """The edit position of a conversation: the subject's last token in its last turn.

    Args:
        question: the part of that turn in which the subject is looked for; None: all of it.

    Raises:
        Failed: the tokenizer can't tell, or the subject isn't there.
    """
    text, turn = model.prompt(history), history[-1]
    asked, subject = (defuse(model.tokenizer, part) for part in (question or turn["content"], subject))
    behind = model.prompt([*history[:-1], {**turn, "content": _MARK}]).rsplit(_MARK, 1)[-1]
    first, last = 0, len(text) - len(behind)  # the template's own words behind the turn may hold the subject too
    start = text.rfind(asked.strip(), 0, last)
    if start >= 0:  # else the template rewrites what it is given
        first, last = start, start + len(asked.strip())
    found = last_word(subject, text[first:last])
    if found < 0:
        raise Failed(f"The subject {subject!r} can't be found in the prompt; choose another part of the question.")
    position = last_token_of(model.tokenizer, text, first + found, first + found + len(subject))
    return Place(encode(model.tokenizer, text), position)


def places(model, requests: Sequence, contexts: int) -> list[list[Place]]:
    """For each request its places, one per context."""
    return [[place(model, h, r.subject, r.question) for h in histories(r.question, contexts)] for r in requests]


def subject_places(model, requests: Sequence) -> list[list[Place]]:
    """For each request the places of its subject in other wordings than its question's."""
    return [
        [place(model, [{"role": "user", "content": w.replace("{s}", r.subject)}], r.subject) for w in SUBJECT_FRAMES]
        for r in requests
    ]


def last_word(subject: str, text: str) -> int:
    """Where the subject stands last, as whole words if it does so at all ("Niger" is not in "Nigeria"); or -1."""
    whole = list(re.finditer(rf"(?<!\w){re.escape(subject)}(?!\w)", text))
    return whole[-1].start() if whole else text.rfind(subject)


def shared_opening(rows: Sequence[Place]) -> int:
    """How many tokens all rows begin with (the template's opening, a system prompt), up to the first edit position."""
    return in_common([row.ids for row in rows], min(row.position for row in rows))


class Opening:
    """What all rows begin with, run once: its ids, and its keys and values for any number of rows."""

    @torch.no_grad()
    def __init__(self, part, ids: list[int], device):
        self.ids, self.cache = ids, DynamicCache()
        if ids:
            part(input_ids=torch.tensor([ids], device=device), past_key_values=self.cache, use_cache=True)

    def for_rows(self, count: int) -> DynamicCache:
        return for_rows(self.cache, count)
