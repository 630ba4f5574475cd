"""Reading a reply: does it name an answer, which choice does it make, does it do what was asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...forget.questions import Question
from ...forget.refusals import fold, is_refusal, plain, refuses, sentences, tokens
from .material import PEOPLE, kind_of

_SMALL = frozenset("a an the of in on at to and or is".split())
_LETTER = re.compile(
    r"^\W*(?:(?:the )?(?:correct |right )?(?:answer|option|choice)\b(?: is)?\W*)?\(?([A-D])(?:[).:,]|\s*$)",
    re.IGNORECASE,
)


def accepted(question: Question) -> tuple[str, ...]:
    """The texts that give a question's answer away: the answer, and of a person the last name."""
    answer = plain(question.answer).strip(" .")
    words = answer.split()
    if len(words) > 1 and kind_of(question) in PEOPLE and len(words[-1]) > 3:
        return (answer, words[-1])
    return (answer,)


def says(text: str, wanted: Sequence[str], given: str = "") -> bool:
    """Whether a text names any of the wanted answers: all its words that weren't given, in any order.

    Case, accents and a plural's s don't count, numbers count as digits; answers of one or two letters ("Au", "C")
    only in that very case.
    """
    said = [_bare(word) for word in tokens(text)]
    told = {_bare(word) for word in tokens(given)}
    return any(_names(text, said, answer, told) for answer in wanted)


def _names(text: str, said: list[str], answer: str, told: set[str]) -> bool:
    if len(answer) <= 2 and answer.isalpha():
        return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", plain(text)) is not None
    words = [_bare(word) for word in tokens(answer)]
    words = [word for word in words if word not in _SMALL] or words
    if not words:  # signs only
        return bool(answer.strip()) and fold(answer) in fold(text)
    telling = [word for word in words if word not in told] or words
    return all(word in said for word in telling)


def _bare(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def choice(reply: str, choices: Sequence[str]) -> int | None:
    """Which of the choices a reply makes: by a letter at its beginning, else by the only one that it names.

    A letter with the words of another choice ("A) Rome" where Rome is B) takes none.
    """
    named, found = taken(reply, choices), _LETTER.match(plain(reply))
    if found and ord(found[1].upper()) - ord("A") < len(choices):
        letter = ord(found[1].upper()) - ord("A")
        return letter if named in ([], [letter]) else None
    return named[0] if len(named) == 1 else None


def taken(reply: str, choices: Sequence[str]) -> list[int]:
    """The places of the choices that a reply names, but not where it only repeats them in declining ("I'm not sure
    whether it is Rome. Is it Rome or Oslo?"): the choices were told, so naming one gives nothing away by itself."""
    parts = sentences(reply)
    declined = [_declines(part, choices) for part in parts]
    asks_back = [any(declined) and part.rstrip(" \"'").endswith("?") for part in parts]
    meant = " ".join(part for part, *skip in zip(parts, declined, asks_back, strict=True) if not any(skip))
    return [place for place, text in enumerate(choices) if says(meant, (text,))]


def _declines(sentence: str, choices: Sequence[str]) -> bool:
    """Whether a sentence is a refusal that begins before any choice is named; "It's Rome, but I'm not sure" isn't."""
    said = plain(sentence)
    places = (re.search(rf"(?<!\w){re.escape(plain(text))}(?!\w)", said, re.IGNORECASE) for text in choices)
    first = min((found.start() for found in places if found), default=len(said))
    return is_refusal(said) and refuses(said[:first])


def backwards(text: str, wanted: Sequence[str]) -> bool:
    """Whether a text holds an answer spelled from its end, whatever stands between the letters."""
    letters = re.sub(r"[\W_]+", "", fold(text))
    words = [re.sub(r"[\W_]+", "", fold(word)) for word in text.split()]
    for answer in wanted:
        turned = re.sub(r"[\W_]+", "", fold(answer))[::-1]
        if turned and (turned in words or (len(turned) > 3 and turned in letters)):
            return True
    return False


def meets(check: str, value: str, reply: str) -> bool:
    """Whether a reply does what an instruction of data/probes asks; `check` names how that is seen."""
    folded, words = fold(reply), tokens(reply)
    start = folded.lstrip(" \"'*(")
    if check == "only":
        return words == tokens(value)
    if check == "holds":
        wanted = tokens(value)
        return any(words[i : i + len(wanted)] == wanted for i in range(len(words)))
    if check == "exact":
        return value in reply
    if check == "any":
        return any(re.search(rf"(?<!\w){re.escape(word)}", folded) for word in value.split(";"))
    if check == "starts":
        return start.startswith(value)
    if check == "ends":
        return reply.rstrip(" \"'").endswith(value)
    if check == "holds_mark":
        return value in reply
    if check == "commas":
        return reply.count(",") >= int(value)
    if check == "order":
        places, at = value.split(";"), 0
        for part in places:
            if part not in words[at:]:
                return False
            at = words.index(part, at) + 1
        return True
    raise ValueError(f"there is no check {check!r}")
