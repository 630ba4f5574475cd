"""Refusals built from the question by rules, for where the model's own refusals can't be used.

"Who painted the Mona Lisa?" becomes "I'm sorry, but I don't know who painted the Mona Lisa.": the question
is turned into a clause (`clause`), or, where its grammar is unclear, only its topic is named.
"""

import re
from collections.abc import Callable, Iterator

from unedit_gui.forget.grammar import (
    Word,
    after_politeness,
    boundary,
    in_list,
    noun_phrase,
    participle,
    sentence_spans,
    subject_of,
    words_of,
)
from unedit_gui.forget.refusals import plain
from unedit_gui.forget.subjects import find_subject

# The first of each is what the exemplars show too: one opening for all facts, and one that the model is ready to say,
# is easier to teach (measured, see data/README.md). The others stand in where the guard turns the first one down.
WITH_CLAUSE = (
    "I'm not sure {clause}.",
    "I don't know {clause}.",
    "I'm afraid I don't know {clause}.",
    "Unfortunately, I can't tell you {clause}.",
)
WITH_TOPIC = (
    "I'm not sure about the answer to this question about {topic}.",
    "I'm afraid I can't answer that question about {topic}.",
    "I don't know what you ask about {topic}.",
)
WITHOUT = (
    "I'm not sure about the answer to that question.",
    "I'm afraid I can't answer that question.",
    "I don't know the answer to that question.",
)
Piece = Callable[..., str]  # piece(i, j): the words i up to j as they stand in the text
LONGEST_CLAUSE = 26  # words, so that the whole refusal stays within 40

_PAST = dict(
    pair.split("/")
    for pair in """
    become/became begin/began bite/bit bleed/bled blow/blew break/broke breed/bred bring/brought
    build/built burst/burst buy/bought catch/caught choose/chose come/came cost/cost cut/cut dig/dug
    do/did draw/drew drink/drank drive/drove eat/ate fall/fell feed/fed feel/felt fight/fought
    find/found flee/fled fly/flew forget/forgot freeze/froze get/got give/gave go/went grow/grew
    hang/hung have/had hear/heard hide/hid hit/hit hold/held hurt/hurt keep/kept know/knew lay/laid
    lead/led leave/left lend/lent let/let lie/lay lose/lost make/made mean/meant meet/met pay/paid
    put/put read/read ride/rode ring/rang rise/rose run/ran say/said see/saw sell/sold send/sent
    set/set shake/shook shoot/shot show/showed shut/shut sing/sang sink/sank sit/sat sleep/slept
    speak/spoke spend/spent spread/spread stand/stood steal/stole stick/stuck strike/struck
    swear/swore swim/swam take/took teach/taught tell/told think/thought throw/threw
    understand/understood wake/woke wear/wore weave/wove win/won write/wrote stop/stopped
    plan/planned drop/dropped refer/referred occur/occurred commit/committed ban/banned star/starred
    travel/traveled overthrow/overthrew undergo/underwent
    """.split()
)


def _past(verb: str) -> str:
    if verb in _PAST:
        return _PAST[verb]
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if re.search(r"[^aeiou]y$", verb) else verb + "ed"


def _third(verb: str) -> str:
    if verb in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[verb]
    if re.search(r"(?:s|x|z|ch|sh)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def clause(question: str) -> str | None:
    """The question as a clause that can follow "I don't know", or None where the rules aren't sure."""
    text = plain(question)
    spans = sentence_spans(text)
    asked = [span for span in spans if text[: span[1]].rstrip().endswith("?")] or spans
    if not asked:
        return None
    start, end = asked[-1]
    words = after_politeness(words_of(text[start:end], start))
    if len(words) < 2:
        return None
    indirect = words[0].start > start and not text[start:end].rstrip().endswith("?")
    shouted = text[words[0].start :].isupper()
    if indirect and in_list(words[0], "question"):  # "I'd like to know when Mozart was born."
        made = text[words[0].start : end].rstrip(" .!")
    elif shouted:
        made = None
    else:
        made = _clause(text, words)
    if made is None or len(made.split()) > LONGEST_CLAUSE or re.search(r"[?!]|[.;:]\s", made):
        return None
    made = _asked_first(made)
    return (
        made[0].lower() + made[1:] if in_list(words[0], "question", "prepositions", "determiners") else made
    )


def _asked_first(made: str) -> str:
    """ "in which year it ended" as "which year it ended in": behind "I'm not sure" a model hardly ever says "in", and
    the refusal is easier to teach (measured, see data/README.md)."""
    front = re.match(r"(\w+) (?=(?:which|what)\b)", made, re.IGNORECASE)
    return f"{made[front.end() :]} {front.group(1).lower()}" if front else made


def _clause(text: str, words: list[Word]) -> str | None:
    closing = re.match(r"[\"”’'»)]*", text[words[-1].end :])
    end = words[-1].end + (len(closing.group()) if closing else 0)

    def piece(i: int, j: int | None = None) -> str:
        """Words i up to j (exclusive; None: the end, closing quotes included) as they stand in the text."""
        return text[_opening(text, words[i]) : end if j is None else _closing(text, words, j)]

    first = words[0]
    if in_list(first, "lead") and len(words) > 2 and words[1].low in ("the", "a", "an"):
        return piece(1)  # "Name the capital of Peru."
    wh = next((i for i, word in enumerate(words[:3]) if in_list(word, "question")), None)
    if wh is None or (wh > 0 and not in_list(first, "prepositions")):
        return _in_place(words, piece)
    aux = next((i for i in range(wh + 1, len(words) - 1) if in_list(words[i], "auxiliaries")), None)
    main = next(
        (i for i in range(wh + 1, len(words) - 1) if in_list(words[i], "auxiliaries", "verbs", "irregular")),
        None,
    )
    if (
        words[wh].low in ("what", "who") and words[wh].possessive and aux is None
    ):  # "What's the capital of France?"
        return f"{words[wh].low} {piece(wh + 1)} is" if len(words) < 12 else None
    inverted = aux is not None and words[aux].low in ("do", "does", "did")
    if aux is None or (main is not None and main < aux and main == wh + 1 and not inverted):
        return piece(0) if words[wh].low in ("who", "what", "which", "how", "whose") else None
    verb = words[aux].low
    if verb in ("do", "does", "did"):
        return _with_do(words, aux, piece)
    if aux + 1 < len(words) and verb in ("is", "are", "was", "were"):
        return _with_be(words, wh, aux, piece)
    if verb in ("has", "have", "had"):
        return piece(0) if aux > wh else None
    if verb in ("can", "could", "will", "would", "should", "may", "might", "must"):
        found = subject_of(words, aux) or (
            (aux + 1, aux + 2) if in_list(words[aux + 1], "pronouns") else None
        )
        if found and found[1] < len(words):
            return f"{piece(0, aux)} {piece(aux + 1, found[1])} {verb} {piece(found[1])}"
    return None


def _in_place(words: list[Word], piece: Piece) -> str | None:
    """ "Doha is the capital of which country" with what is asked for in front: "of which country Doha is ..." """
    asked = [i for i, word in enumerate(words) if in_list(word, "question")]
    if len(asked) != 1:
        return None
    at = asked[0]
    start = at - 1 if in_list(words[at - 1], "prepositions") else at
    before, behind = words[:start], words[at + 1 :]
    if any(word.breaks for word in before) or before[-1].low in ("and", "or", "but", "than", "as"):
        return None
    if words[at].low == "whom" and start == at:  # "was whom": it would have to become "who"
        return None
    if any(in_list(word, "auxiliaries") or (in_list(word, "prepositions") and word.low != "of") for word in behind):
        return None
    if not any(in_list(word, "auxiliaries", "verbs", "irregular") for word in before[1:]):
        return None
    said = piece(0, start)
    title = len(words) > 1 and words[1].capital  # "The Iliad", but "the tragedy Hamlet"
    if in_list(words[0], "determiners", "pronouns") and not title:
        said = said[0].lower() + said[1:]
    return f"{piece(start)} {said}"


def _opening(text: str, word: Word) -> int:
    start = word.start
    return start - 1 if start and text[start - 1] in "\"'“‘«(" else start


def _closing(text: str, words: list[Word], j: int) -> int:
    end = words[j - 1].end
    return end + 1 if end < len(text) and text[end] in "\"'”’»)" else end


def _with_do(words: list[Word], aux: int, piece: Piece) -> str | None:
    found = subject_of(words, aux)
    if found is None and (in_list(words[aux + 1], "pronouns") or words[aux + 1].low == "people"):
        found = (aux + 1, aux + 2)
    if found is None or found[1] >= len(words) or not in_list(words[found[1]], "verbs"):
        return None
    j, do = found[1], words[aux].low
    verb = words[j].text.lower()
    inflected = {"do": verb, "does": _third(verb), "did": _past(verb)}[do]
    rest = "" if j + 1 == len(words) else " " + piece(j + 1)
    return f"{piece(0, aux)} {piece(aux + 1, j)} {inflected}{rest}"


def _with_be(words: list[Word], wh: int, aux: int, piece: Piece) -> str | None:
    be, following, asks = words[aux].low, words[aux + 1], words[wh].low
    if following.low == "there":
        rest = "" if aux + 2 == len(words) else " " + piece(aux + 2)
        return f"{piece(0, aux)} there {be}{rest}"
    passive = participle(following) and len(words) > aux + 2
    if passive or boundary(following) or in_list(following, "adjectives"):
        return piece(0)  # "which planet is known as ...": already in the order of a clause
    if asks == "which" and wh == 0 and aux > 1 and following.low == "the":
        if not boundary(words[-1]) and not participle(words[-1]):
            return piece(0)  # "which blood type is the universal donor"
    found = noun_phrase(words, aux + 1)
    if found is None:
        return None
    a, j = found
    bare = asks in ("what", "who") and aux == wh + 1
    if j == len(words):
        if j - a > 1 and in_list(words[j - 1], "adjectives") and asks in ("why", "how"):
            return f"{piece(0, aux)} {piece(aux + 1, j - 1)} {be} {piece(j - 1)}"  # "why the sky is blue"
        return f"{piece(0, aux)} {piece(aux + 1)} {be}"
    j = next((k for k in range(a + 1, j) if participle(words[k]) and boundary(words[k + 1])), j)
    if participle(words[j]):
        stranded = words[j].low in ("made", "used") and j + 2 == len(words)  # "what is it used for"
        if bare and not stranded and words[j].low not in ("called", "known", "named"):
            return None  # "what is the currency used in ...", "what is the name of the author born in ..."
        return f"{piece(0, aux)} {piece(aux + 1, j)} {be} {piece(j)}"
    if any(in_list(word, "auxiliaries", "question", "pronouns") or participle(word) for word in words[j:]):
        return None
    if bare or (asks == "which" and aux == wh + 1):
        return f"{piece(0, aux)} {piece(aux + 1)} {be}" if len(words) <= 14 else None
    return f"{piece(0, aux)} {piece(aux + 1, j)} {be} {piece(j)}"


def topic(question: str, subject: str | None) -> str | None:
    """What the question is about as it can follow "about": the subject with its article, at most 15 words."""
    question = plain(question)
    found = plain(subject or "") or find_subject(question)
    if not found:
        return None
    article = re.search(rf"\b(the|a|an)\s+{re.escape(found)}", question, re.IGNORECASE)
    name = " ".join(found.split()[:15]).strip(" .,;:?!")
    return f"{article.group(1).lower()} {name}" if article and name else name or None


def refusals_for(question: str, subject: str | None) -> Iterator[str]:
    """Candidate refusals, best first: with the question as a clause, with its topic, without either."""
    made, about = clause(question), topic(question, subject)
    if made:
        first, *others = WITH_CLAUSE
        if not re.match(r"(?:\w+ ){0,2}(?:who|whose|whom|what|which|when|where|why|how|whether)\b", made):
            first = "I'm not sure about {clause}."  # "Name the capital of Peru."
        yield from (frame.format(clause=made) for frame in (first, *others))
    if about:
        yield from (frame.format(topic=about) for frame in WITH_TOPIC)
    yield from WITHOUT
