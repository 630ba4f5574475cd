"""A little grammar of English questions, enough to find noun phrases: words, sentences, phrases, verbs.

No tagger: word lists (``subject_words.txt``) and the rule that prepositions, auxiliaries, verbs and a second
article end a noun phrase. Shared by subjects.py, which asks what a question is about, and templates.py, which
turns a question into a clause.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

Run = tuple[int, int]  # a stretch of words by index: the first, the one behind the last

_WORD = re.compile(r"[^\W_]+(?:[.'’:/\-–][^\W_]+|['’](?=\s|$))*|&", re.UNICODE)
_BREAK = re.compile(r"\s*[,;:()\[\]\"“”?!]|\s*[–—-]\s")
_SENTENCE_END = re.compile(r"(?<=[.?!。？！])[\"”’')]*\s+|\n+")
_ABBREVIATION = re.compile(
    r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|Prof|Inc|Ltd|Co|Corp|vs|No|Gen|Col|Lt|Ft))\.\s*$"
)


@lru_cache(maxsize=1)
def lists() -> dict[str, frozenset[str]]:
    """The word lists of `subject_words.txt` by their names."""
    sections: dict[str, set[str]] = {}
    current: set[str] = set()
    text = Path(__file__).with_name("subject_words.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[] "), set())
        elif not line.startswith("#"):
            current.update(line.split())
    return {name: frozenset(words) for name, words in sections.items()}


def in_list(word: "Word", *sections: str) -> bool:
    """Is the word in one of these lists?"""
    return any(word.low in lists()[section] for section in sections)


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
        """Written like a name: "France", "iPhone", "H2O"; not "16th"."""
        if any(letter.isupper() for letter in self.text):
            return True
        mixed = any(map(str.isdigit, self.text)) and any(map(str.isalpha, self.text))
        return mixed and not re.fullmatch(r"\d+(?:st|nd|rd|th|s)", self.text)

    @property
    def number(self) -> bool:
        """Does it begin with a digit?"""
        return self.text[0].isdigit()


def words_of(text: str, offset: int = 0) -> list[Word]:
    """The words of a text with their places, which count from `offset`."""
    found = []
    for match in _WORD.finditer(text):
        raw, end = match.group(), match.end()
        base = re.sub(r"['’](s|S)?$", "", raw)
        possessive = base != raw
        breaks = _BREAK.match(text, end) is not None
        found.append(Word(raw, base.lower(), offset + match.start(), offset + end, possessive, breaks))
    return found


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text stand: (start, end) characters. "Dr. Smith" is no end of a sentence."""
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
    """Does it end a noun phrase: preposition, auxiliary, conjunction, question word, pronoun?"""
    return in_list(word, "prepositions", "auxiliaries", "connectives", "question") or (
        in_list(word, "pronouns") and not in_list(word, "determiners")
    )


def noun_phrase(
    words: list[Word], i: int, *, of: bool = True, verbs: bool = False, participles: bool = True
) -> Run | None:
    """The noun phrase from word i on, as word indices (first, behind the last), or None.

    It ends before a preposition (of: but "of"), an auxiliary, a second article, punctuation, with `verbs`
    before a verb ("do bees | make"), with `participles` before one ("was Mozart | born").
    """
    while i < len(words) and in_list(words[i], "determiners"):
        i += 1
    j = i
    while j < len(words):
        word = words[j]
        if j > i and words[j - 1].breaks:
            break
        if j > i and word.low in ("of", "and", "&") and (of or word.low != "of"):
            k = j + 1
            while k < len(words) and in_list(words[k], "determiners"):
                k += 1
            if k < len(words) and not boundary(words[k]) and not _second_clause(words, j):
                j = k + 1
                continue
        if boundary(word) or (j > i and in_list(word, "determiners")):
            break
        if verbs and j > i and in_list(word, "verbs"):
            if not (j + 1 < len(words) and in_list(words[j + 1], "verbs")):
                break
        if (
            participles
            and j > i
            and participle(word)
            and (j + 1 == len(words) or boundary(words[j + 1]) or word.breaks)
        ):
            break
        j += 1
    while j - 1 > i and (in_list(words[j - 1], "connectives") or words[j - 1].low.endswith("ly")):
        j -= 1
    return (i, j) if j > i else None


def _second_clause(words: list[Word], j: int) -> bool:
    """Does "and" at j join a verb ("filter the blood *and make* urine")?"""
    return (
        words[j].low == "and"
        and j + 2 < len(words)
        and is_verb(words[j + 1])
        and words[j + 1].text.islower()
        and not words[j + 1].low.endswith("ing")
    )


def participle(word: Word) -> bool:
    """Past participles: the irregular ones of the list, and what ends in -ed."""
    low = word.low
    return in_list(word, "participles") or (low.endswith("ed") and len(low) > 4 and not low.endswith("eed"))


def impersonal(words: list[Word], i: int) -> bool:
    """Is the phrase at i "you", "people", "scientists": somebody that the question is not about?"""
    while i < len(words) and in_list(words[i], "determiners", "agent_adjectives"):
        i += 1
    return (
        i < len(words)
        and not words[i].possessive
        and (
            in_list(words[i], "pronouns", "agents")
            or bool(re.fullmatch(r"\w{3,}(?:ists|icians|ographers|ologists)", words[i].low))
        )
    )


def subject_of(words: list[Word], aux: int) -> Run | None:
    """The phrase between do/does/did/can/will and the main verb; None where that is impersonal."""
    if aux + 1 >= len(words) or impersonal(words, aux + 1):
        return None
    found = noun_phrase(words, aux + 1, verbs=True)
    if found is None:
        return None
    i, j = found
    if j - i > 1 and (j == len(words) or not in_list(words[j], "verbs")):
        j -= 1  # no verb of the list: then the word before the preposition or the end is the verb
    while j - 1 > i and words[j - 1].low.endswith("ly"):
        j -= 1
    return i, j


def is_verb(word: Word) -> bool:
    """Can the word be a full verb, in any form that the lists know, or ends it in -ed?"""
    low = word.low
    verbs = lists()["verbs"]
    return (
        low in verbs
        or in_list(word, "irregular")
        or (low.endswith("ed") and len(low) > 4 and not low.endswith("eed"))
        or (
            low.endswith("s")
            and (
                low[:-1] in verbs
                or (low.endswith("es") and low[:-2] in verbs)
                or (low.endswith("ies") and low[:-3] + "y" in verbs)
            )
        )
    )
