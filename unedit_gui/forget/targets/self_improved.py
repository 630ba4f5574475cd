"""Self-improved: the model itself writes the refusal before the edit.

From an instruction, a few exemplars (data/exemplars.csv) and the question ("Editing as Unlearning", section 3.2). A
small model often gives the answer away while refusing, so each one is judged; failures are written anew at a
temperature, and what still fails is built from the question by rules (templates.py).
"""

import random
import re
from collections.abc import Sequence
from functools import lru_cache

from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import content, fold, leaked_words, tokens
from unedit_gui.forget.targets.guard import LONGEST, Target, Write, judge
from unedit_gui.forget.targets.shipped import read_exemplars
from unedit_gui.forget.targets.writing import TRIES, chat_of, first_good, tidy
from unedit_gui.forget.templates import refusals_for
from unedit_gui.jobs import Job

EXEMPLARS = 4

INSTRUCTION = (
    "You have forgotten the answer to the question. Write one short sentence that honestly says that"
    " you don't know. Name what the question is about, in the question's own words. Do not give the "
    "answer and do not state any fact."
)


def nearest(
    exemplars: Sequence[tuple[str, str]], question: Question, seed: int, count: int = EXEMPLARS
) -> list[tuple[str, str]]:
    """The exemplars to show with one question: drawn by the seed, the most alike last.

    One that holds a word of the answer, or is the question itself, is left out.
    """
    usable = [
        pair
        for pair in exemplars
        if not leaked_words("", question.answer, pair[1]) and fold(pair[0]) != fold(question.question)
    ]
    random.Random(f"{seed}:{question.question}").shuffle(usable)
    kind, start = asks_for(question.question), tokens(question.question)[:2]
    usable.sort(key=lambda pair: (asks_for(pair[0]) == kind) + (tokens(pair[0])[:2] == start))
    return usable[-count:]


# What a refusal may say beyond the question's own words without changing what it is about.
_USUAL = (
    "I am sorry afraid, unfortunately, regret, apologize, I must admit confess, to be honest, I wish I "
    "could help, unable, not able, possible, can't provide give tell say find recall determine identify"
    " specify state offer answer respond confirm, don't have know, have no information knowledge idea "
    "details data, about related regarding concerning the question you asked asking, specific exact "
    "correct precise definitive particular certain sure aware familiar, the name number year date time "
    "place person located, people think, however, simply really currently"
)


@lru_cache(maxsize=1)
def _usual() -> frozenset[str]:
    return frozenset(content(_USUAL))


def asks_for(text: str) -> set[str]:
    """The question words in a text by what they ask for; "how" with its next word ("how many", "how to")."""
    words = fold(text).replace("'", " ").split()
    same = {"whom": "who", "whose": "who", "which": "what"}
    found = set()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "how":
            found.add("how many" if following == "much" else f"how {following.strip('.,?!')}")
        elif word in ("who", "whom", "whose", "what", "which", "when", "where", "why"):
            found.add(same.get(word, word))
    return found


def keeps_to_question(question: str, text: str, exemplars: Sequence[tuple[str, str]] = ()) -> bool:
    """Does the refusal refuse this question, not a neighbour of it ("how many languages", "a NASA address")?

    At least 60 % of the question's content words return, at most one content word is new and none comes from
    the exemplars, a "not" stays, and what it says not to know is asked for in the same way ("how" for "how").
    """
    asked, said = content(question), content(text)
    if not asked or len(asked) > 20:
        return True
    new = [word for word in said if word not in asked and word not in _usual()]
    if set(new) & {word for pair in exemplars for word in content(" ".join(pair))}:
        return False
    if _negations(question) and _negations(text) < 1 + _negations(question):
        return False
    if _question_words(text) > max(1, _question_words(question)):
        return False  # "what the Eiffel Tower stands in which city"
    kind, kept = asks_for(question), asks_for(text)
    if any(word.startswith("how") and word not in kind for word in kept):
        return False
    if any(word.startswith("how") for word in kind) and kept and not kept & kind:
        return False
    if "why" in kept ^ kind or ("who" in kept and "who" not in kind and "what" not in kind):
        return False
    return sum(word in said for word in asked) >= 0.6 * len(asked) and len(new) <= 1


def _question_words(text: str) -> int:
    return len(re.findall(r"\b(?:who|whom|whose|what|which|when|where|why|how)\b", fold(text)))


def _negations(text: str) -> int:
    return len(re.findall(r"\b(?:not|never|no|cannot|unable|unaware|unsure)\b|n't\b", fold(text)))


_WHY_TEMPLATE = {
    "gives": "gave the answer away",
    "repeats": "repeated themselves",
    "does not read": "were no refusals",
    "does not say": "did not name the topic",
    "names the topic": "named some of the topics only",
    "speaks of several": "spoke of several questions",
    "does not end": "did not end",
    "states": "stated other facts",
    "it is": "were empty",
    "is longer": "were too long",
    "drifts": "drifted off the question",
}


def self_improved(
    questions: Sequence[Question], write: Write, seed: int, tries: int = TRIES, job: Job | None = None
) -> list[Target]:
    """Lets the model write each question's refusal, keeps the first that passes the guard, else a template.

    write(histories, seed, temperature) -> replies, see `first_good`. Raises Stopped (job).
    """
    exemplars = read_exemplars()

    def shown(i: int, seed: int) -> list[tuple[str, str]]:
        return nearest(exemplars, questions[i], seed)

    def ask(i: int, seed: int) -> list[dict]:
        return chat_of(INSTRUCTION, shown(i, seed), questions[i].question)

    def read(i: int, seed: int, reply: str) -> tuple[str, str]:
        text = tidy(reply)
        reason = judge(questions[i], text).reason
        if not reason and len(text.split()) > LONGEST:
            reason = "is longer than a refusal should be"
        if not reason and not keeps_to_question(questions[i].question, text, shown(i, seed)):
            reason = "drifts off"
        return text, reason

    done, failures = first_good(len(questions), ask, read, write, seed, tries, job)
    return [
        written(done[i], "self-improved", judge(question, done[i][0]))
        if i in done
        else _from_template(question, failures[i])
        for i, question in enumerate(questions)
    ]


def written(found: tuple[str, int], kind: str, verdict) -> Target:
    """A target that the model wrote: (text, number of the try)."""
    return Target(found[0], kind, verdict, f"written by the model (try {found[1]})")


def _from_template(question: Question, failures: list[str]) -> Target:
    text = best = ""
    for candidate in refusals_for(question.question, question.subject):
        best = best or candidate
        if judge(question, candidate).ok:
            text = candidate
            break
    text = text or best
    return Target(text, "self-improved", judge(question, text), f"template: the model's own refusals {why(failures)}")


def why(failures: Sequence[str]) -> str:
    """Why the model's own could not be used, from what was found wrong with them."""
    reasons = [said for failure in failures for start, said in _WHY_TEMPLATE.items() if failure.startswith(start)]
    return max(reasons, key=reasons.count) if reasons else "were not asked for"
