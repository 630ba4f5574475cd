"""From a chat history to the tokens that the model reads, and back to places in them.

Everything in the program, edits included, works on the full chat-formatted prompt: an edit made on a bare
sentence doesn't carry over to a chat, because the keys at the edit position differ.
"""

import re
from dataclasses import dataclass

from ..errors import Failed

History = list[dict[str, str]]  # [{"role": "user" | "assistant" | "system", "content": text}, ...]
_MARK = "unedit mark"
_LINE_BREAKS = ("\n", "Ċ", "<0x0A>")  # as vocabularies write them
# For models that come without a template: base models, mostly. A reply begins on a line of its own, so that its first
# word is written as targets are, without a blank before it, and ends where the line does.
PLAIN = (
    "{{ opening }}{% for m in messages %}{% if m['role'] == 'user' %}Question: {{ m['content'] }}\n"
    "{% elif m['role'] == 'assistant' %}Answer:\n{{ m['content'] }}{{ eos_token or '' }}\n\n"
    "{% else %}{{ m['content'] }}\n\n{% endif %}{% endfor %}{% if add_generation_prompt %}Answer:\n{% endif %}"
)
_PLAIN_MARKS = re.compile(r"\[/?[A-Z_]{2,}\]|<</?[A-Z]+>>")  # Llama-2's [INST] and <<SYS>> are plain text


class Prompt(list):
    """Token ids of a prompt, which also know where its question stands.

    Attributes: `asked`, the range (first, behind the last) of the last user turn's own tokens, without any of the
    template's. `shown`: what an edit has put before the conversation (edits/prompts.py); None: nobody was asked.
    """

    def __init__(self, ids=(), asked: tuple[int, int] | None = None, shown: tuple | None = None):
        super().__init__(ids)
        self.asked = (0, len(self)) if asked is None else asked
        self.shown = shown


@dataclass(frozen=True)
class ChatFormat:
    """How one tokenizer writes a conversation."""

    end_of_turn: str  # what the template puts after an assistant's reply, e.g. "<|im_end|>"
    end_ids: tuple[int, ...]  # token ids at which a reply ends
    plain: bool = False  # it has no template of its own, so PLAIN is used


def chat_format(tokenizer, extra_end_ids=()) -> ChatFormat:
    """Read the end-of-turn mark off the template. Without one, a reply is one line: every token that holds a line
    break ends it."""
    plain = not tokenizer.chat_template
    text = written(tokenizer, [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": _MARK}])
    after = text.rsplit(_MARK, 1)[-1].strip()
    specials = [token for token in _special_tokens(tokenizer) if token and after.startswith(token)]
    end_of_turn = max(specials, key=len) if specials else (tokenizer.eos_token or ("\n" if plain else ""))
    ids = [tokenizer.convert_tokens_to_ids(end_of_turn)] if specials or tokenizer.eos_token else []
    ids += [tokenizer.eos_token_id, *extra_end_ids]
    if plain:
        ids += [i for token, i in sorted(tokenizer.get_vocab().items()) if any(b in token for b in _LINE_BREAKS)]
    return ChatFormat(end_of_turn, tuple(dict.fromkeys(i for i in ids if i is not None)), plain)


def render(tokenizer, history: History) -> str:
    """The prompt text: the conversation in the model's template, up to where the reply begins.

    Text that looks like one of the template's own marks is broken up, so that a question can't close the
    user's turn or open one of the assistant's.
    """
    safe = [{**turn, "content": defuse(tokenizer, turn["content"])} for turn in history]
    extra = {}
    if "enable_thinking" in (tokenizer.chat_template or ""):
        extra["enable_thinking"] = False  # Qwen3 would think aloud first, and the answer would be cut off
    return written(tokenizer, safe, add_generation_prompt=True, **extra)


def defuse(tokenizer, content: str) -> str:
    """Content as `render` writes it: with a space in whatever looks like one of the template's own marks; on one line
    where lines are what tells turns apart."""
    if not tokenizer.chat_template:
        content = " ".join(content.splitlines())
    marks = _special_tokens(tokenizer) + _PLAIN_MARKS.findall(str(tokenizer.chat_template))
    for mark in dict.fromkeys(marks):
        if len(mark) > 1 and mark in content:
            content = content.replace(mark, mark[0] + " " + mark[1:])
    return content


def written(tokenizer, history: History, **options) -> str:
    """A conversation in the tokenizer's template, or in PLAIN, as it is given; for what users type use `render`."""
    if not tokenizer.chat_template:
        options |= {"chat_template": PLAIN, "opening": _opening(tokenizer)}
    return tokenizer.apply_chat_template(history, tokenize=False, **options)


def _opening(tokenizer) -> str:
    """What the tokenizer puts before every text that it is given by itself."""
    first = tokenizer("x").input_ids[:1]
    return tokenizer.bos_token if tokenizer.bos_token and first == [tokenizer.bos_token_id] else ""


def encode(tokenizer, text: str) -> list[int]:
    """Token ids of a rendered prompt; the template has already written the special tokens."""
    return tokenizer(text, add_special_tokens=False).input_ids


def prompt_of(tokenizer, history: History) -> Prompt:
    """Token ids of a conversation up to where the reply begins, with the place of its last turn.

    Where that can't be told (a slow tokenizer, a template that rewrites what it is given), all of it counts.
    """
    text = render(tokenizer, history)
    if not getattr(tokenizer, "is_fast", False):
        return Prompt(encode(tokenizer, text))
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    behind = render(tokenizer, [*history[:-1], {**history[-1], "content": _MARK}]).rsplit(_MARK, 1)[-1]
    said = defuse(tokenizer, history[-1]["content"]).strip()
    start = text.rfind(said, 0, len(text) - len(behind))
    if start < 0 or not said:
        return Prompt(found.input_ids)
    inside = [i for i, (a, b) in enumerate(found.offset_mapping) if a < start + len(said) and b > start and b > a]
    return Prompt(found.input_ids, (inside[0], inside[-1] + 1) if inside else None)


def way_of_writing(tokenizer) -> tuple[str, list[int]]:
    """What tells prompts apart that are written for equal weights: the special tokens, and the template's text and some
    more as token ids. A rendered prompt would do, but some templates write the day into it."""
    text = f"{tokenizer.chat_template or PLAIN}\nWhat is  the capital of \u6771\u4eac, asked \u00c9mile at 12:30?"
    return str(tokenizer.special_tokens_map), encode(tokenizer, text)


def last_token_of(tokenizer, text: str, start: int, end: int) -> int:
    """Index of the token that holds the last character of text[start:end].

    Raises:
        Failed: the tokenizer keeps no character offsets (a slow one) or no token covers the place.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise Failed("This model's tokenizer can't tell where a word stands in the prompt (no fast tokenizer).")
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    for index in range(len(offsets) - 1, -1, -1):
        left, right = offsets[index]
        if left < end and right >= end and right > left:
            return index
    raise Failed(f"No token of the prompt holds the end of {text[start:end]!r}.")


def _special_tokens(tokenizer) -> list[str]:
    added = [str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values() if token.special]
    return list(dict.fromkeys([*tokenizer.all_special_tokens, *added]))
