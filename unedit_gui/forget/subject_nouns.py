"""The subject of a question that holds no proper name. Rules 3 to 7 of subjects.py, in their order."""

from unedit_gui.forget.grammar import (
    Run,
    Word,
    boundary,
    impersonal,
    in_list,
    is_verb,
    noun_phrase,
    participle,
    subject_of,
)

_KNOWN = {"known", "referred", "regarded", "nicknamed", "described", "considered"}
_CALLED = {"called", "nicknamed", "dubbed", "named"}
_SAY = {"call", "say", "spell", "translate"}
_RELATIVE = {"who", "that", "which"}


def common_subject(words: list[Word]) -> Run | None:
    """What the first rule that finds anything finds, as word indices; None where no rule does."""
    first = (_imperative, _statement, _fronted, _named_as, _superlative, _how_many)
    for rule in (*first, _after_auxiliary, _object, _last_phrase):
        found = rule(words)
        if found is not None:
            return found
    return None


def _asks_at(words: list[Word]) -> int | None:
    return next((i for i, word in enumerate(words) if in_list(word, "question")), None)


def _statement(words: list[Word]) -> Run | None:
    """ "The discovery of radium is credited to which scientist?": what stands in front."""
    asks = _asks_at(words)
    asked_early = asks is not None and asks <= 2
    if asked_early or in_list(words[0], "auxiliaries", "prepositions", "connectives", "lead"):
        return None
    if any(word.breaks for word in words[:asks]):
        return None
    found = noun_phrase(words, 0, of=False, verbs=False)
    if found is None:
        return None
    a, b = found
    verb = next((k for k in range(a + 1, b) if is_verb(words[k])), b)
    return _complement(words, a, verb) if verb < len(words) else None


def _imperative(words: list[Word]) -> Run | None:
    """ "Name the capital of *peru*", "Tell me about the *tides*"."""
    if not in_list(words[0], "lead"):
        return None
    i = 1
    while i < len(words) and in_list(words[i], "polite", "prepositions"):
        i += 1
    found = noun_phrase(words, i, of=False)
    return _complement(words, *found) if found else None


def _fronted(words: list[Word]) -> Run | None:
    """What stands before the comma: "In *volleyball*, how many ...", "When *geese* fly, what ..."."""
    comma = next((i for i, word in enumerate(words[:-2]) if word.breaks), None)
    if comma is None or not in_list(words[comma + 1], "question", "prepositions"):
        return None
    if not in_list(words[0], "prepositions", "connectives", "question") or words[0].low in (
        *_RELATIVE,
        "what",
    ):
        return None
    found = noun_phrase(words, 1, of=True, verbs=True)
    if found is None or found[1] > comma + 1:
        return None
    scope = (
        "fields",
        "weak_names",
        "units",
        "pronouns",
        "demonyms",
    )  # "In music, what is ...", "In 1969, who ..."
    return None if any(in_list(w, *scope) or w.number for w in words[found[0] : found[1]]) else found


def _named_as(words: list[Word]) -> Run | None:
    """ "... is known as the *red planet*?", "What do you call a *baby swan*?"."""
    for i, word in enumerate(words[:-1]):
        after = words[i + 1].low
        if word.low in _KNOWN and after in ("as", "to"):
            start = i + 3 if after == "to" and i + 2 < len(words) and words[i + 2].low == "as" else i + 2
        elif word.low in _CALLED and i > 0 and not word.breaks:
            start = i + 1
        elif word.low in _SAY and i > 0 and (impersonal(words, i - 1) or words[i - 1].low == "to"):
            start = i + 1
        else:
            continue
        found = noun_phrase(words, start)
        if found:
            related = found[1] < len(words) - 1 and words[found[1]].low in (*_RELATIVE, "for", "with")
            return (_last_phrase(words[found[1] :], found[1]) or found) if related else found
    return None


def superlative_at(words: list[Word]) -> int | None:
    """Index of the word that makes a superlative ("largest", "most", "the first"), or None."""
    for i, word in enumerate(words):
        low, following = word.low, words[i + 1] if i + 1 < len(words) else None
        if following is None or (low == "best" and following.low == "known"):
            continue
        if low in ("most", "least"):
            if not in_list(following, "prepositions", "determiners"):
                return i
        elif low.endswith("est") and len(low) > 4 and not in_list(word, "not_superlative") or low == "best":
            return i
        elif low in ("first", "last", "second", "third") and i > 0 and words[i - 1].low == "the":
            return i
    return None


def _superlative(words: list[Word]) -> Run | None:
    i = superlative_at(words)
    found = noun_phrase(words, i) if i is not None else None
    if found is None:
        return None
    i, j = found
    if j < len(words) and words[j].low in ("in", "on", "to", "for") and not words[j - 1].breaks:
        if (
            words[j].low == "to" and j + 2 < len(words) and is_verb(words[j + 1])
        ):  # "the first woman to win a ..."
            scope = _last_phrase(words[j + 2 :], j + 2)
        else:
            scope = noun_phrase(words, j + 1)
        if scope and not _all_in(words, scope, "scopes", "units"):
            return i, scope[1]
    return found if j - i > 1 else None


def _all_in(words: list[Word], run: Run, *sections: str) -> bool:
    return all(in_list(word, *sections) for word in words[run[0] : run[1]])


def _how_many(words: list[Word]) -> Run | None:
    if len(words) < 3 or words[0].low != "how" or words[1].low not in ("many", "much"):
        return None
    for i in range(2, len(words) - 1):
        if words[i].low in ("do", "does", "did", "can", "will"):
            return subject_of(words, i)
    for i in range(len(words) - 2, 1, -1):
        if words[i].low in ("in", "on", "of", "inside", "per", "up", "for", "to", "make", "makes", "form"):
            found = noun_phrase(words, i + 1)
            if found and not _all_in(words, found, "units", "scopes"):
                return found
    return _object(words) if not in_list(words[-1], "pronouns") else noun_phrase(words, 2)


def _after_auxiliary(words: list[Word]) -> Run | None:
    asks = _asks_at(words) or 0
    for i in range(asks, len(words) - 1):
        low = words[i].low
        if low in ("do", "does", "did", "can", "will", "should", "could", "would", "may", "must"):
            return subject_of(words, i) or _agents_object(words, i + 1)
        if low in ("is", "are", "was", "were", "has", "have", "had") or (
            words[i].possessive and in_list(words[i], "question")
        ):
            break
    else:
        return None
    following = words[i + 1]
    passive = participle(following) and not in_list(following, "determiners")
    passive = passive or in_list(following, "adjectives") or following.low in ("best", "well")
    if passive and i + 2 < len(words):
        return _last_phrase(words[i + 2 :], i + 2)
    found = noun_phrase(words, i + 1, of=False)
    if found is None:
        return None
    if low in ("has", "have", "had"):
        return noun_phrase(words, i + 1, participles=False)
    stranded = found[1] + 1 == len(words) and words[found[1] - 1].low in ("part", "made", "home")
    if stranded and found[1] - found[0] > 1:
        return found[0], found[1] - 1  # "Which family is the cello part of?"
    return _complement(words, *found, place=i <= asks + 1)


def _agents_object(words: list[Word], i: int) -> Run | None:
    """Behind "you", "scientists" and their verb: "What do chemists use to measure *acidity*?"."""
    while i < len(words) and in_list(words[i], "determiners", "agent_adjectives"):
        i += 1
    if i + 1 >= len(words):
        return (i, i + 1) if i < len(words) and not in_list(words[i], "pronouns") else None
    if words[i + 1].low in ("in", "of"):
        found = noun_phrase(words, i + 2, verbs=True)
        ends = found and found[1] - found[0] > 1 and found[1] == len(words)
        return (found[0], found[1] - 1) if found and ends else found
    return _last_phrase(words[i + 2 :], i + 2) or (None if in_list(words[i], "pronouns") else (i, i + 1))


def _complement(words: list[Word], a: int, b: int, place: bool = True) -> Run | None:
    """For the phrase a..b followed by "of B", "for B", "in B": B; "declaration of independence" stays whole.

    place: whether "in", "on", "to" count ("the main ingredient in B", but not "what colour is A in winter").
    """
    definite = a > 0 and words[a - 1].low == "the"
    link = words[b].low if b < len(words) else ""
    if link in ("of", "for", "between", "behind", "about") or (
        place and link in ("in", "to", "on") and (definite or b - a >= 2)
    ):
        inner = noun_phrase(words, b + 1, of=False)
        if inner and not _all_in(words, inner, "units", "scopes"):
            behind = words[inner[1]].low if inner[1] < len(words) else ""
            if _all_in(words, inner, "generic") or behind in ("who", "that", "which"):
                return _last_phrase(words[inner[1] :], inner[1]) or inner
            if behind == "of" or (behind in ("in", "on") and in_list(words[b - 1], "generic")):
                return _complement(words, *inner)
            return (a, inner[1]) if in_list(words[b - 1], "heads") else inner
    if (b - a == 1 and in_list(words[a], "generic")) or link in ("who", "that", "which"):
        return _last_phrase(words[b:], b) or (a, b)
    while b - a > 1 and in_list(words[b - 1], "adjectives") and not in_list(words[a], "adjectives"):
        b -= 1
    return a, b


def _object(words: list[Word]) -> Run | None:
    """The object of the first main verb: "who invented the *telephone*", "what comes after *june*"."""
    if len(words) > 4 and words[1].low == "part" and words[2].low == "of":
        found = noun_phrase(words, 3, of=False)
        verb = next((k for k in range(found[0] + 1, found[1]) if is_verb(words[k])), None) if found else None
        return (found[0], verb) if found and verb else found
    begin = 1 if words[0].low in ("who", "what", "whom") else 2
    for i in range(begin, len(words) - 1):
        if in_list(words[i], "auxiliaries"):
            return None
        if not is_verb(words[i]) or in_list(words[i - 1], "determiners") or words[i - 1].low == "of":
            continue
        j = i + 1
        while j < len(words) and (
            in_list(words[j], "prepositions") or words[j].low in ("most", "all", "both")
        ):
            j += 1
        found = noun_phrase(words, j, participles=False)
        if found and _all_in(words, found, "scopes") and found[1] < len(words):
            found = noun_phrase(words, found[1]) or found  # "gave the world the telephone"
        if found and words[i].low in ("play", "plays", "played") and words[found[1] : found[1] + 1]:
            found = noun_phrase(words, found[1] + 1) or found  # "who plays batman in *the dark knight*"
        if found and not _all_in(words, found, "units"):
            return found
    return None


def _last_phrase(words: list[Word], offset: int = 0) -> Run | None:
    """The last noun phrase that means something; indices count from `offset`."""
    best, i = None, 0
    while i < len(words):
        lead = i + offset == 0 and in_list(words[i], "lead")
        if lead or boundary(words[i]) or in_list(words[i], "determiners"):
            i += 1
            continue
        related = i > 0 and words[i - 1].low in (*_RELATIVE, "to") and i + 1 < len(words)
        if related and is_verb(words[i]) and not in_list(words[i + 1], "verbs"):  # "that *eat* plants"
            i += 1
            continue
        found = noun_phrase(words, i, verbs=related)  # "that plants | release"
        if found is None:
            i += 1
            continue
        a, b = found
        one = b - a > 1 and a > 0 and words[a - 1].low in ("a", "an")
        if one and words[b - 1].low.endswith("s") and is_verb(words[b - 1]):
            b -= 1  # "when a pig calls"
        lone_verb = b - a == 1 and (participle(words[a]) or is_verb(words[a]))
        lone_verb = (
            lone_verb and not (related and a == i) and (b < len(words) or not words[a].low.endswith("s"))
        )
        pronoun = a > 0 and in_list(words[a - 1], "pronouns") and not in_list(words[a - 1], "connectives")
        if lone_verb and pronoun:  # "What did she discover?"
            break
        empty = _all_in(words, (a, b), "units", "scopes", "lead", "pronouns", "generic")
        if not empty and not (best and (lone_verb or all(word.number for word in words[a:b]))):
            best = (a + offset, b + offset)
        i = found[1]
    return best
