"""A little grammar of English questions, enough to find noun phrases: words, sentences, phrases, verbs.

No tagger: word lists (``subject_words.txt``) and the rule that prepositions, auxiliaries, verbs and a second
article end a noun phrase. Shared by subjects.py, which asks what a question is about, and templates.py, which
turns a question into a clause.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_WORD = re.compile(r"[^\W_]+(?:[.'’:/\-–][^\W_]+|['’](?=\s|$))*|&", re.UNICODE)
_SENTENCE_END = re.compile(r"(?<=[.?!。？！])[\"”’')]*\s+|\n+")
_ABBREVIATION = re.compile(
    r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|Prof|Inc|Ltd|Co|Corp|vs|No|Gen|Col|Lt|Ft))\.\s*$"
)


@lru_cache(maxsize=1)
def lists() -> dict[str, frozenset[str]]:
    sections: dict[str, set[str]] = {}
    current: set[str] = set()
    text = Path(__file__).with_name("subject_words.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[] "), set())
        elif not line.startswith("#"):
            current.update(line.split())
    return {name: frozenset(words) for name, words in sections.items()}


def in_list(word: "Word | None", *sections: str) -> bool:
    return word is not None and any(word.low in lists()[section] for section in sections)


@dataclass(frozen=True)
class Word:
    """One word of the question: ``low`` is lower case without the possessive ending."""

    text: str
    low: str
    start: int
    end: int
    possessive: bool
    breaks: bool  # punctuation follows, so that no phrase goes on behind this word

    @property
    def capital(self) -> bool:
        return any(letter.isupper() for letter in self.text) or (
            any(letter.isdigit() for letter in self.text) and any(letter.isalpha() for letter in self.text)
        )

    @property
    def number(self) -> bool:
        return self.text[0].isdigit()


def words_of(text: str, offset: int) -> list[Word]:
    found = []
    for match in _WORD.finditer(text):
        raw, end = match.group(), match.end()
        base = re.sub(r"['’](s|S)?$", "", raw)
        possessive = base != raw
        breaks = bool(re.match(r"\s*[,;:()\[\]\"“”?!]", text[end:])) or bool(
            re.match(r"\s*[–—-]\s", text[end:])
        )
        found.append(Word(raw, base.lower(), offset + match.start(), offset + end, possessive, breaks))
    return found


def sentence_spans(text: str) -> list[tuple[int, int]]:
    spans, begin = [], 0
    for match in _SENTENCE_END.finditer(text):
        if _ABBREVIATION.search(text[begin : match.start()]):
            continue
        spans.append((begin, match.start()))
        begin = match.end()
    spans.append((begin, len(text)))
    return [(a, b) for a, b in spans if text[a:b].strip()]


def after_politeness(words: list[Word]) -> list[Word]:
    """Drops "Could you tell me", "Question:", "I'd like to know" in front of the question proper."""
    for i, word in enumerate(words):
        if in_list(word, "question") and all(in_list(w, "polite", "lead") for w in words[:i]):
            return words[i:]
        if not in_list(word, "polite"):
            break
    i = 0
    if words and (in_list(words[0], "polite") and len(words) > 1 and in_list(words[1], "polite")):
        while i < len(words) and in_list(words[i], "polite", "lead") and not in_list(words[i], "question"):
            i += 1
    return words[i:] if i < len(words) else []


def boundary(word: Word) -> bool:
    return in_list(word, "prepositions", "auxiliaries", "connectives", "question") or (
        in_list(word, "pronouns") and not in_list(word, "determiners")
    )


def noun_phrase(words: list[Word], i: int, *, of: bool = True, verbs: bool = False) -> tuple[int, int] | None:
    """The noun phrase from word i on: up to a preposition (but "of"), a verb, a second article, punctuation."""
    while i < len(words) and in_list(words[i], "determiners"):
        i += 1
    j = i
    while j < len(words):
        word = words[j]
        if j > i and words[j - 1].breaks:
            break
        if j > i and word.low in ("of", "and", "&") and j + 1 < len(words) and (of or word.low != "of"):
            k = j + 1
            while k < len(words) and in_list(words[k], "determiners"):
                k += 1
            if k < len(words) and not boundary(words[k]):
                j = k + 1
                continue
        if boundary(word) or (j > i and in_list(word, "determiners")):
            break
        if verbs and j > i and in_list(word, "verbs"):
            if not (j + 1 < len(words) and in_list(words[j + 1], "verbs")):
                break
        if j > i and participle(word) and (j + 1 == len(words) or boundary(words[j + 1]) or words[j].breaks):
            break
        j += 1
    while j - 1 > i and (in_list(words[j - 1], "connectives") or words[j - 1].low.endswith("ly")):
        j -= 1
    return (i, j) if j > i else None


def participle(word: Word) -> bool:
    return in_list(word, "participles") or (word.low.endswith("ed") and len(word.low) > 4)


def subject_of(words: list[Word], aux: int) -> tuple[int, int] | None:
    """The phrase between do/does/did/can/will and the main verb."""
    i = aux + 1
    if i >= len(words) or in_list(words[i], "pronouns") and not in_list(words[i], "determiners"):
        return None
    if words[i].low == "people":
        return None
    found = noun_phrase(words, i, verbs=True)
    if found is None:
        return None
    i, j = found
    if (
        j - i > 1
        and (j == len(words) or not in_list(words[j], "verbs"))
        and not in_list(words[j - 1], "name_nouns")
    ):
        j -= 1  # no verb of the list: then the word before the preposition or the end is the verb
    while j - 1 > i and words[j - 1].low.endswith("ly"):
        j -= 1
    return i, j


def is_verb(word: Word) -> bool:
    low = word.low
    verbs = lists()["verbs"]
    return (
        low in verbs
        or in_list(word, "irregular")
        or (low.endswith("ed") and len(low) > 4)
        or (
            low.endswith("s")
            and (
                low[:-1] in verbs
                or (low.endswith("es") and low[:-2] in verbs)
                or (low.endswith("ies") and low[:-3] + "y" in verbs)
            )
        )
    )
