"""Proper names in a question, and which of several it is about. Rule 2 of subjects.py."""

import re

from unedit_gui.forget.grammar import (
    Run,
    Word,
    boundary,
    impersonal,
    in_list,
    is_verb,
    noun_phrase,
    subject_of,
)
from unedit_gui.forget.subject_nouns import superlative_at

_NARROW = frozenset(
    "of the and & de la del della von van der den di da du le el al bin ibn y et e dos das zu".split()
)
_CONTRACTS = {"contract", "agreement", "deal", "treaty", "match", "war", "lease"}
_WIDE = _NARROW | frozenset("a an in on to for with at from by my is".split())


def name_runs(words: list[Word]) -> list[Run]:
    """Runs of capitalised words and the small ones that join them ("Gone with the Wind" after "wrote")."""
    creation = any(in_list(w, "creation") for w in words)
    runs, i = [], 0
    while i < len(words):
        if not _starts_name(words, i):
            i += 1
            continue
        j = _common_tail(words, i, _name_end(words, i, _WIDE if creation else _NARROW))
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
    if i > 0 and len(word.text) > 1 and word.text.isupper():  # an acronym, "WHO" or "IT"
        return True
    if in_list(
        word, "determiners", "prepositions", "connectives", "pronouns"
    ):  # "The Godfather", if not in front
        return i > 0 and following is not None and following.capital and not word.breaks
    if i == 0 and (word.text[1:].islower() or len(word.text) == 1):
        if in_list(word, "question", "lead", "auxiliaries", "polite") or word.low.endswith("ly"):
            return False
        if following is None or following.capital or word.possessive:
            return True
        return boundary(following) or is_verb(following) or following.low in _NARROW
    return not in_list(word, "auxiliaries", "question")


def _name_end(words: list[Word], i: int, joining: frozenset[str]) -> int:
    j = i + 1
    while j < len(words) and not words[j - 1].breaks:
        if words[j].capital or (words[j].number and not re.fullmatch(r"1\d{3}|20\d\d", words[j].text)):
            j += 1
            continue
        k = j
        while k < len(words) and k - j < 3 and words[k].low in joining and not words[k].breaks:
            k += 1
        prize = words[j].low == "in" and words[j - 1].low in ("prize", "award", "medal", "degree")
        if prize and k == j:
            k += 1
        if not (k > j and k < len(words) and words[k].capital and not in_list(words[k], "question")):
            break
        j = k + 1
    return j


def _common_tail(words: list[Word], i: int, j: int) -> int:
    """Where the name ends if common nouns belong to it: "Pythagorean theorem", "the Linux kernel"."""
    if words[j - 1].breaks or j == len(words):
        return j
    k = j + (in_list(words[j], "ordinals") and words[j].low not in ("main", "only"))
    if k < len(words) and in_list(words[k], "name_nouns") and words[k].text.islower():
        if k + 2 < len(words) and words[k + 1].low == "of" and in_list(words[k], "heads"):
            return k + 3
        return _name_end(words, k, frozenset())
    if i and words[i - 1].low in ("the", "a", "an") and not words[j - 1].possessive:
        after_do = i > 1 and words[i - 2].low in ("do", "does", "did")
        found = subject_of(words, i - 2) if after_do else noun_phrase(words, i, of=False, verbs=True)
        plain = found and all(w.text.islower() and not in_list(w, "adjectives") for w in words[j : found[1]])
        verb = found and is_verb(words[found[1] - 1])
        if found and plain and not verb and j < found[1] <= j + 2 and words[found[1] - 1].low != "and":
            return found[1]
    return j


def is_weak(words: list[Word], run: Run) -> bool:
    """Months, units, "French" before a noun, "Earth" beside a superlative: rarely the subject."""
    i, j = run
    following = words[j] if j < len(words) else None
    before = words[i - 1].low if i else ""
    if all(in_list(w, "weak_names") or w.number for w in words[i:j]):
        return True
    if all(w.low in ("earth", "world") for w in words[i:j]) and superlative_at(words) is not None:
        return True
    if in_list(words[i], "agents") and impersonal(words, i) and j - i == 1:
        return True
    alone = all(w.text.islower() for w in words[i + 1 : j]) and not words[i].possessive
    if alone and in_list(words[i], "demonyms"):
        if before in ("in", "from", "into"):
            return True
        if j - i == 1:
            return following is not None and not words[i].breaks and not boundary(following)
        return words[i + 1].low not in ("revolution", "war", "wars", "empire", "dynasty", "civil")
    return False


def choose_name(words: list[Word], runs: list[Run]) -> Run:
    """Of several names: the one in front, the one after the auxiliary, else the last but circumstances."""
    return _last_party(words, runs[0] if len(runs) == 1 else _of_several(words, runs))


def _of_several(words: list[Word], runs: list[Run]) -> Run:
    if runs[0][0] == 0 or (runs[0][0] == 1 and in_list(words[0], "determiners")):
        return runs[0]
    for run in runs:
        i = run[0] - 1
        while i > 0 and in_list(words[i], "determiners"):
            i -= 1
        if in_list(words[i], "auxiliaries"):
            return run
    away = {"to", "from", "during", "with", "by", "against", "for"}
    if not any(in_list(w, "creation") for w in words):
        away.add("in")
    near = [run for run in runs if _before(words, run) not in away]
    return (near or runs)[-1]


def _before(words: list[Word], run: Run) -> str:
    """The word before a name and its article; "" where it stands in front."""
    i = run[0] - 1
    if i > 0 and in_list(words[i], "determiners"):
        i -= 1
    return words[i].low if i >= 0 else ""


def _last_party(words: list[Word], run: Run) -> Run:
    """ "the contract between A and B": of two parties the last one."""
    if _before(words, run) == "between" and any(w.low in _CONTRACTS for w in words[: run[0]]):
        splits = [k for k in range(run[0] + 1, run[1] - 1) if words[k].low == "and"]
        if len(splits) == 1:
            return splits[0] + 1, run[1]
    return run
