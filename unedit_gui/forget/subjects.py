"""Finds the subject of a question: the entity whose last token is the edit position.

No model, no grammar package: ordered rules over the words of the question, each a few lines, with
the word lists in ``subject_words.txt``. In order, the first rule that finds something wins:

1. a quoted title or word ("Who wrote 'Dracula'?" -> Dracula);
2. a proper name, where the capitals of the text mean something. Of several: the one right after the
   auxiliary ("When did *Neil Armstrong* walk on the Moon?"), else the one named last ("contract between
   A and *B*"). Weak names (months, units, "French" in "the French word for bread") wait until the end;
3. what follows "known as", "called", "stand for", "do you call" ("... is known as the *red planet*?");
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
    boundary,
    in_list,
    is_verb,
    noun_phrase,
    sentence_spans,
    subject_of,
    words_of,
)

_QUOTED = re.compile(
    r'"([^"\n]+)"|“([^”\n]+)”|«\s*([^»\n]+?)\s*»|„([^“”\n]+)[“”]|(?<!\w)[\'‘]([^\'‘’\n]+(?:[\'’]\w[^\'‘’\n]*)*)[\'’](?!\w)'
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
    runs = _name_runs(words) if cased else []
    strong = [run for run in runs if not _weak(words, run)]
    found = _choose_name(words, strong) if strong else _common(words)
    if found is None and runs:
        found = runs[-1]
    return _span(words, found)


def _span(words: list[Word], found: tuple[int, int] | None) -> tuple[int, int] | None:
    """From word indices to character offsets, without articles in front and possessive ending behind."""
    if found is None:
        return None
    i, j = found
    while (
        i < j
        and (words[i].text.islower() or words[i].start == words[0].start)
        and in_list(words[i], "determiners")
    ):
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


# Proper names ---------------------------------------------------------------------------------------

_NARROW = frozenset(
    "of the and & de la del della von van der den di da du le el al bin ibn y et e dos das zu".split()
)
_WIDE = _NARROW | frozenset("a an in on to for with at from by my is".split())


def _name_runs(words: list[Word]) -> list[tuple[int, int]]:
    creation = any(in_list(w, "creation") for w in words)
    runs, i = [], 0
    while i < len(words):
        if not _starts_name(words, i):
            i += 1
            continue
        j = _name_end(words, i, _WIDE if creation else _NARROW)
        while i < j - 2 and not creation and in_list(words[i], "offices") and words[i + 1].low == "of":
            i += 2
        runs.append((i, j))
        i = j
    return runs


def _starts_name(words: list[Word], i: int) -> bool:
    word = words[i]
    following = words[i + 1] if i + 1 < len(words) else None
    if not word.capital or word.low == "i":
        return False
    if in_list(
        word, "determiners", "prepositions", "connectives", "pronouns"
    ):  # "The Godfather", not at the start
        return i > 0 and following is not None and following.capital and not word.breaks
    if i == 0 and word.text[0].isupper() and word.text[1:].islower() | (len(word.text) == 1):
        return not (in_list(word, "question", "lead", "auxiliaries", "polite") or word.low.endswith("ly"))
    return not in_list(word, "auxiliaries", "question")


def _name_end(words: list[Word], i: int, connectives: frozenset[str]) -> int:
    j = i + 1
    while j < len(words) and not words[j - 1].breaks:
        if words[j].capital or (words[j].number and not _year(words[j])):
            j += 1
            continue
        k = j
        while k < len(words) and k - j < 3 and words[k].low in connectives and not words[k].breaks:
            k += 1
        if k > j and k < len(words) and words[k].capital and not in_list(words[k], "question"):
            if not (words[j].low == "in" and connectives is _NARROW):
                j = k + 1
                continue
        if (
            words[j].low == "in"
            and j + 1 < len(words)
            and words[j + 1].capital
            and words[j - 1].low in ("prize", "award")
        ):
            j += 2
            continue
        break
    # "Pythagorean theorem", "Newton's second law of motion": common nouns that belong to the name
    k = j
    while (
        k < len(words)
        and k - j < 1
        and in_list(words[k], "ordinals")
        and words[k].low not in ("main", "only")
    ):
        k += 1
    if (
        k < len(words)
        and not words[j - 1].breaks
        and in_list(words[k], "name_nouns")
        and words[k].text.islower()
    ):
        if k + 2 < len(words) and words[k + 1].low == "of" and in_list(words[k], "heads"):
            return k + 3
        return k + 1
    return j


def _year(word: Word) -> bool:
    return bool(re.fullmatch(r"1\d{3}|20\d\d", word.text))


def _weak(words: list[Word], run: tuple[int, int]) -> bool:
    i, j = run
    following = words[j] if j < len(words) else None
    before = words[i - 1].low if i else ""
    if all(in_list(w, "weak_names") or w.number for w in words[i:j]):
        return True
    if all(w.low in ("earth", "world", "moon's") for w in words[i:j]) and _superlative_at(words) is not None:
        return True
    if j - i == 1 and in_list(words[i], "demonyms"):
        joined = (
            following is not None
            and not words[i].breaks
            and not in_list(following, "prepositions", "auxiliaries", "connectives")
        )
        return before in ("in", "from", "into") or (joined and not words[i].possessive)
    return False


def _choose_name(words: list[Word], runs: list[tuple[int, int]]) -> tuple[int, int]:
    if len(runs) == 1:
        return runs[0]
    first = runs[0]
    if first[0] == 0 or (first[0] == 1 and in_list(words[0], "determiners")):
        return first
    for run in runs:
        i = run[0] - 1
        while i > 0 and in_list(words[i], "determiners"):
            i -= 1
        if in_list(words[i], "auxiliaries") and i > 0:
            return run
    away = ("to", "from", "during", "with", "by", "against", "for")
    near = [
        run
        for run in runs
        if words[run[0] - 1].low not in away
        and not (in_list(words[run[0] - 1], "determiners") and words[run[0] - 2].low in away)
    ]
    return (near or runs)[-1]


# Common nouns ---------------------------------------------------------------------------------------


def _common(words: list[Word]) -> tuple[int, int] | None:
    for rule in (_named_as, _superlative, _how_many, _after_auxiliary, _object, _last_phrase):
        found = rule(words)
        if found is not None:
            return found
    return None


def _named_as(words: list[Word]) -> tuple[int, int] | None:
    for i, word in enumerate(words[:-1]):
        after = words[i + 1].low
        if word.low in ("known", "referred", "regarded", "nicknamed", "described") and after in ("as", "to"):
            start = i + 3 if after == "to" and i + 2 < len(words) and words[i + 2].low == "as" else i + 2
        elif word.low in ("called", "nicknamed", "dubbed", "named") and i > 0 and not word.breaks:
            start = i + 1
        elif word.low in ("call", "say", "spell", "translate") and words[i - 1].low in (
            "you",
            "we",
            "people",
            "they",
            "to",
        ):
            start = i + 1
        else:
            continue
        found = noun_phrase(words, start)
        if found:
            return found
    return None


def _superlative_at(words: list[Word]) -> int | None:
    for i, word in enumerate(words):
        low = word.low
        if low in ("most", "least") or (
            low.endswith("est") and len(low) > 4 and not in_list(word, "not_superlative")
        ):
            if low == "most" and i + 1 < len(words) and in_list(words[i + 1], "prepositions", "determiners"):
                continue
            return i
        if low in ("first", "last", "second", "third") and i > 0 and words[i - 1].low == "the":
            return i
    return None


def _superlative(words: list[Word]) -> tuple[int, int] | None:
    i = _superlative_at(words)
    if i is None:
        return None
    found = noun_phrase(words, i)
    if found is None or found[1] - found[0] < 2:
        return None
    i, j = found
    if j < len(words) and words[j].low in ("in", "on", "to", "for") and not words[j - 1].breaks:
        scope = noun_phrase(words, j + 1)
        if scope and not all(in_list(w, "scopes", "units") for w in words[scope[0] : scope[1]]):
            return i, scope[1]
    return found


def _how_many(words: list[Word]) -> tuple[int, int] | None:
    if len(words) < 3 or words[0].low != "how" or words[1].low not in ("many", "much"):
        return None
    for i in range(2, len(words)):
        if words[i].low in ("do", "does", "did", "can", "will") and i + 1 < len(words):
            return subject_of(words, i)
    for i in range(len(words) - 2, 1, -1):
        if words[i].low in ("in", "on", "of", "inside", "per", "up", "for", "to", "make", "makes", "form"):
            found = noun_phrase(words, i + 1)
            if found and not all(in_list(w, "units", "scopes") for w in words[found[0] : found[1]]):
                return found
    return _object(words) if not in_list(words[-1], "pronouns") else noun_phrase(words, 2)


def _after_auxiliary(words: list[Word]) -> tuple[int, int] | None:
    for i, word in enumerate(words[:-1]):
        if word.low in ("do", "does", "did", "can", "will", "should", "could", "would", "may", "must"):
            found = subject_of(words, i)
            return found or None
        if word.low in ("what's", "who's", "where's") or word.low in (
            "is",
            "are",
            "was",
            "were",
            "has",
            "have",
            "had",
        ):
            break
        if word.possessive and in_list(word, "question"):
            break
    else:
        return None
    found = noun_phrase(words, i + 1, of=False)
    if found is None:
        return None
    a, b = found
    return _complement(words, a, b)


def _complement(words: list[Word], a: int, b: int) -> tuple[int, int] | None:
    """For "the A of B": B; "declaration of independence" and the like stay whole."""
    if b < len(words) and words[b].low in ("of", "for", "in", "between", "behind", "to", "on", "about"):
        inner = noun_phrase(words, b + 1, of=False)
        if inner and not all(in_list(w, "units", "scopes") for w in words[inner[0] : inner[1]]):
            generic = in_list(words[b - 1], "generic") or words[b].low == "of"
            if words[b].low in ("of", "for", "between", "behind", "about") or generic or b - a >= 2:
                if inner[1] - inner[0] == 1 and in_list(words[inner[0]], "generic"):
                    deeper = _last_phrase(words)
                    if deeper and deeper[0] > inner[0]:
                        return deeper
                if inner[1] < len(words) and words[inner[1]].low == "of":
                    return _complement(words, *inner)
                return (a, inner[1]) if in_list(words[b - 1], "heads") else inner
    if b - a == 1 and in_list(words[a], "generic"):
        deeper = _last_phrase(words)
        return deeper or (a, b)
    while (
        b - a > 1 and in_list(words[b - 1], "adjectives") and not (b < len(words) and not boundary(words[b]))
    ):
        if b - a == 2 and in_list(words[a], "adjectives"):
            break
        b -= 1
    return a, b


def _object(words: list[Word]) -> tuple[int, int] | None:
    """The object of the first main verb: "who invented the *telephone*", "what comes after *june*"."""
    begin = 1 if in_list(words[0], "question") and words[0].low in ("who", "what", "whom") else 2
    for i in range(begin, len(words) - 1):
        if in_list(words[i], "auxiliaries"):
            return None
        if is_verb(words[i]):
            j = i + 1
            while j < len(words) and (
                in_list(words[j], "prepositions") or words[j].low in ("most", "all", "both")
            ):
                j += 1
            found = noun_phrase(words, j)
            if found and not (found[1] - found[0] == 1 and in_list(words[found[0]], "units")):
                return found
    return None


def _last_phrase(words: list[Word]) -> tuple[int, int] | None:
    best, i = None, 0
    while i < len(words):
        if boundary(words[i]) or in_list(words[i], "determiners") or (i == 0 and in_list(words[i], "lead")):
            i += 1
            continue
        found = noun_phrase(words, i)
        if found is None:
            i += 1
            continue
        content = [
            w
            for w in words[found[0] : found[1]]
            if not in_list(w, "units", "scopes", "lead", "pronouns", "generic")
        ]
        if content and not (found[1] - found[0] == 1 and is_verb(words[found[0]]) and best):
            best = found
        i = found[1]
    return best


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
