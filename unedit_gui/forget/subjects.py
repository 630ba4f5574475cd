"""Finds the subject of a question: the entity whose last token is the edit position.

No model, no grammar package: ordered rules over the words of the question, each a few lines, with
the word lists in ``subject_words.txt``. In order, the first rule that finds something wins:

1. a quoted title or word ("Who wrote 'Dracula'?" -> Dracula);
2. a proper name, where the capitals of the text mean something. Of several: the one right after the
   auxiliary ("When did *Neil Armstrong* walk on the Moon?"), else the one named last ("contract between
   A and *B*"). Weak names (months, units, "French" in "the French word for bread") wait until the end;
   (subject_names.py, the rest in subject_nouns.py)
3. what an imperative or a statement names first ("A *puck* belongs to which sport?"), or stands before a
   comma ("In *volleyball*, how many ..."); what follows "known as", "called", "do you call";
4. a superlative description without a name ("the *largest planet* in our solar system");
5. "how many X ... Y": Y; without Y: X;
6. the noun phrase after the auxiliary ("do *bees* make"), for "the A of B" its B ("symbol for *gold*");
7. the object of the main verb ("Who invented the *telephone*?"), else the last noun phrase.

Politeness ("Could you tell me ...") and the articles in front of a subject are dropped. Several
sentences: the last question; if it holds only a pronoun, the sentence before. The user can correct
every subject, so a near miss ("81" for "square root of 81") is tolerable: what counts is the last word.
"""

import re
import unicodedata
from collections.abc import Iterator

from unedit_gui.forget.grammar import (
    Word,
    after_politeness,
    in_list,
    sentence_spans,
    words_of,
)
from unedit_gui.forget.subject_names import choose_name, is_weak, name_runs
from unedit_gui.forget.subject_nouns import common_subject

_QUOTED = re.compile(
    r'"([^"\n]+)"|“([^”\n]+)”|«\s*([^»\n]+?)\s*»|„([^“”\n]+)[“”]'
    r"|(?<!\w)['‘]([^'‘’\n]+(?:['’]\w[^'‘’\n]*)*)['’](?!\w)"
)


def find_subject(question: str) -> str | None:
    """The subject as it stands in the question (a verbatim span), or None where there is nothing sensible."""
    spans = sentence_spans(question)
    asked = [i for i, (a, b) in enumerate(spans) if "?" in question[a:b] or "？" in question[a:b]]
    last = asked[-1] if asked else len(spans) - 1
    for index in [*range(last, -1, -1), *range(last + 1, len(spans))]:
        a, b = spans[index]
        span = _in_sentence(question[a:b], a)
        if span:
            return question[span[0] : span[1]]
    return None


def _in_sentence(text: str, offset: int) -> tuple[int, int] | None:
    quoted = [m for m in _QUOTED.finditer(text) if re.search(r"\w", m.group())]
    if quoted:
        group = next(i for i in range(1, 6) if quoted[-1].group(i))
        inner = quoted[-1].group(group)
        start = offset + quoted[-1].start(group) + len(inner) - len(inner.lstrip())
        return start, start + len(inner.strip().rstrip(".,!?;"))
    words = after_politeness(words_of(text, offset))
    if not words:
        return None
    cased = _capitals_mean_something(words)
    runs = name_runs(words) if cased else []
    strong = [run for run in runs if not is_weak(words, run)]
    found = choose_name(words, strong) if strong else common_subject(words)
    if found is None and runs:
        found = runs[-1]
    return _span(words, found)


def _span(words: list[Word], found: tuple[int, int] | None) -> tuple[int, int] | None:
    """From word indices to character offsets, without articles in front and possessive ending behind."""
    if found is None:
        return None
    i, j = found
    while i < j and in_list(words[i], "determiners") and (words[i].text.islower() or i == 0):
        i += 1
    if i >= j:
        return None
    last = words[j - 1]
    end = last.end - (len(last.text) - len(last.low) if last.possessive else 0)
    return words[i].start, end


def _capitals_mean_something(words: list[Word]) -> bool:
    """False for text all in lower case, all in capitals, or in Title Case Throughout."""
    inner = [w for w in words[1:] if w.text[0].isalpha()]
    small = [w for w in inner if in_list(w, "determiners", "prepositions", "auxiliaries")]
    if len(inner) >= 3 and sum(w.text[0].isupper() for w in inner) >= 0.8 * len(inner) and len(small) >= 1:
        return all(w.text[0].islower() for w in small)
    return True


# Another wording ------------------------------------------------------------------------------------


def _variants(subject: str) -> Iterator[str]:
    """Patterns for the subject: as it is, without its article, singular or plural."""
    bare = re.sub(r"^(?:the|a|an)\s+", "", subject, flags=re.IGNORECASE)
    bare = re.sub(r"['’]s?$", "", bare)
    yield subject
    yield bare
    if len(bare) > 2 and bare[-1].isalpha():
        yield bare + "s"
        yield bare + "es"
        if bare.lower().endswith("y"):
            yield bare[:-1] + "ies"
        if bare.lower().endswith("ies") and len(bare) > 4:
            yield bare[:-3] + "y"
        if bare.lower().endswith("es") and len(bare) > 4:
            yield bare[:-2]
        if bare.lower().endswith("s") and len(bare) > 3:
            yield bare[:-1]


def locate(subject: str, text: str) -> tuple[int, int] | None:
    """Where a known subject stands in another wording: (start, end) of its last occurrence, or None.

    Tried in order: the exact text, then without regard to case, accents' encoding, the kind of quote
    and blanks, then without its article, then in the singular or plural. Only whole words count.
    """
    subject = subject.strip()
    if not subject:
        return None
    for variant in _variants(subject):
        pattern = r"\s+".join(_loose(part) for part in variant.split())
        for flags in (0, re.IGNORECASE):
            found = list(re.finditer(rf"(?<!\w){pattern}(?!\w)", text, flags))
            if found:
                return found[-1].span()
    return None


def _loose(part: str) -> str:
    forms = {part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)}
    escaped = "|".join(sorted(re.sub(r"['’]", "['’]", re.escape(form)) for form in forms))
    return f"(?:{escaped})"
