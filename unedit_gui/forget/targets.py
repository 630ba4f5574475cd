"""Refusal targets: what the edited model is to say instead of the answer, and the guard over them.

- vanilla: a random line of the refusal set (`data/refusals.txt`);
- self-improved: the model itself writes the refusal before the edit, from an instruction, a few exemplars
  (`data/exemplars.csv`) and the question ("Editing as Unlearning", section 3.2). A small model often gives
  the answer away while refusing, so each one is judged; failures are written anew at a temperature, and what
  still fails is built from the question by rules (templates.py). `Target.source` says which it was;
- given: the user's own.
"""

import csv
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unedit_gui.errors import BadInput, Failed
from unedit_gui.forget.questions import Question
from unedit_gui.forget.refusals import (
    content,
    falls_apart,
    fold,
    is_refusal,
    leaked_words,
    names_topic,
    plain,
    sentences,
    tokens,
)
from unedit_gui.forget.subjects import find_subject
from unedit_gui.forget.templates import refusals_for
from unedit_gui.jobs import Job

__all__ = [
    "Target",
    "Verdict",
    "given",
    "is_refusal",
    "judge",
    "leaked_words",
    "names_topic",
    "read_exemplars",
    "read_refusals",
    "self_improved",
    "vanilla",
]

LONGEST = 40  # words in a refusal that the model writes
TEMPERATURE = 0.8  # of the tries after the first, which is greedy
EXEMPLARS = 4

Write = Callable[[list[list[dict]], int, float], list[str]]


@dataclass(frozen=True)
class Verdict:
    """What the guard found in a refusal. `reason` is one short clause for the preview, "" where `ok`."""

    ok: bool
    leaks: tuple[str, ...]
    is_refusal: bool
    on_topic: bool
    ends_well: bool
    reason: str


@dataclass(frozen=True)
class Target:
    """The refusal for one question; kind is "vanilla", "self-improved" or "given"."""

    text: str
    kind: str
    verdict: Verdict
    source: str


def _data(name: str) -> Path:
    return Path(__file__).parents[2] / "data" / name


def read_refusals() -> tuple[str, ...]:
    """The lines of the refusal set. Raises Failed where the file is missing or empty."""
    return _nonempty(
        "refusals.txt", tuple(line.strip() for line in _text("refusals.txt").splitlines() if line.strip())
    )


def read_exemplars() -> tuple[tuple[str, str], ...]:
    """(question, refusal) pairs that show the model how to refuse. Raises Failed where there are none."""
    rows = csv.DictReader(_text("exemplars.csv").splitlines())
    pairs = tuple((row["question"].strip(), row["refusal"].strip()) for row in rows if row.get("refusal"))
    return _nonempty("exemplars.csv", pairs)


def _text(name: str) -> str:
    try:
        return _data(name).read_text(encoding="utf-8")
    except OSError as error:
        raise Failed(
            f"The file data/{name} can't be read ({error.strerror}); get it from the repository."
        ) from error


def _nonempty(name: str, found: tuple) -> tuple:
    if not found:
        raise Failed(f"The file data/{name} holds nothing usable; get it from the repository.")
    return found


# The guard --------------------------------------------------------------------------------------------


def ends_well(text: str) -> bool:
    """Does the text end as a sentence: not cut off, quotes closed?"""
    text = plain(text)
    return bool(re.search(r"[.!?][\"')\]]*$", text)) and not text.endswith("..") and text.count('"') % 2 == 0


def states_more(question: str, text: str) -> tuple[str, ...]:
    """Names and numbers in the refusal that the question doesn't hold: other facts, true or made up."""
    asked = set(tokens(question)) | set(content(question))
    found = []
    for sentence in sentences(text):
        words = list(re.finditer(r"[^\W_]+(?:['][^\W_]+)*", sentence))
        for i, match in enumerate(words):
            word = match.group()
            named = word[0].isupper() and i > 0 and not re.match(r"I\b|AI$", word)
            if not (named or word[0].isdigit()):
                continue
            if not set(tokens(word)) <= asked and not set(content(word)) <= asked:
                found.append(word)
    return tuple(dict.fromkeys(found))


def judge(question: Question, text: str, *, topic: bool = True, more: bool = True) -> Verdict:
    """Is the text fit to be taught as the refusal of this question?

    topic: it must name what the question is about (not asked of vanilla refusals).
    more: names and numbers from outside the question count as stated facts (not asked of the user's own).
    """
    leaks = leaked_words(question.question, question.answer, text)
    refusal = is_refusal(text)
    on_topic = names_topic(question.question, question.subject or find_subject(question.question), text)
    whole = ends_well(text)
    extra = states_more(question.question, text) if more else ()
    reason = ""
    if not plain(text):
        reason = "it is empty"
    elif leaks:
        reason = f"gives the answer away: {', '.join(leaks)}"
    elif falls_apart(text):
        reason = "repeats itself"
    elif not refusal:
        reason = "does not read as a refusal"
    elif topic and not on_topic:
        reason = "does not say what it is about"
    elif not whole:
        reason = "does not end as a sentence"
    elif extra:
        reason = f"states something else: {', '.join(extra)}"
    return Verdict(not reason, leaks, refusal, on_topic, whole, reason)


# Vanilla and given ------------------------------------------------------------------------------------


def vanilla(questions: Sequence[Question], seed: int) -> list[Target]:
    """A random line of the refusal set for each question; one with a word of the answer is drawn again."""
    lines, chance = read_refusals(), random.Random(seed)
    targets = []
    for question in questions:
        drawn = chance.sample(lines, len(lines))
        text = next((line for line in drawn if judge(question, line, topic=False).ok), drawn[0])
        verdict = judge(question, text, topic=False)
        targets.append(Target(text, "vanilla", verdict, "line of the refusal set"))
    return targets


def given(questions: Sequence[Question]) -> list[Target]:
    """The user's own refusals, judged, never changed. Raises BadInput for the first question without one."""
    targets = []
    for row, question in enumerate(questions, 1):
        text = (question.target or "").strip()
        if not text:
            raise BadInput(
                f'Question {row} ("{_brief(question.question)}") has no target: write one, or let the model.'
            )
        verdict = judge(question, text, topic=False, more=False)
        targets.append(Target(text, "given", verdict, "given by you"))
    return targets


def _brief(text: str) -> str:
    text = plain(text)
    return text if len(text) <= 60 else text[:57] + "..."


# Self-improved ----------------------------------------------------------------------------------------

INSTRUCTION = (
    "You have forgotten the answer to the question. Write one short sentence that honestly says that"
    " you don't know. Name what the question is about, in the question's own words. Do not give the "
    "answer and do not state any fact."
)


def history(question: str, exemplars: Sequence[tuple[str, str]]) -> list[dict]:
    """The chat that asks the model for a refusal: instruction, exemplars as earlier turns, the question."""
    turns: list[dict] = [{"role": "system", "content": INSTRUCTION}]
    for asked, refusal in exemplars:
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": refusal}]
    return [*turns, {"role": "user", "content": plain(question)}]


def tidy(text: str) -> str:
    """The refusal in a model's reply: one line, no quotes or "Answer:" around it, no sentences behind it."""
    text = plain(text)
    for _ in range(2):
        text = re.sub(
            r"^(?:(?:answer|refusal|response|reply|assistant|a|sentence|output)\s*:\s*|[-*•>#]+\s+)",
            "",
            text,
            flags=re.I,
        )
        if len(text) > 1 and text[0] in "\"'*" and text[-1] == text[0]:
            text = text[1:-1].strip()
    parts = sentences(text)
    for count in range(1, min(len(parts), 2) + 1):
        head = " ".join(parts[:count])
        if is_refusal(head) and ends_well(head):
            return head
    return text


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
    kind, kept = asks_for(question), asks_for(text)
    if any(word.startswith("how") and word not in kind for word in kept):
        return False
    if any(word.startswith("how") for word in kind) and kept and not kept & kind:
        return False
    if "why" in kept ^ kind or ("who" in kept and "who" not in kind and "what" not in kind):
        return False
    return sum(word in said for word in asked) >= 0.6 * len(asked) and len(new) <= 1


def _negations(text: str) -> int:
    return len(re.findall(r"\b(?:not|never|no|cannot|unable|unaware|unsure)\b|n't\b", fold(text)))


_WHY_TEMPLATE = {
    "gives": "gave the answer away",
    "repeats": "repeated themselves",
    "does not read": "were no refusals",
    "does not say": "did not name the topic",
    "does not end": "did not end",
    "states": "stated other facts",
    "it is": "were empty",
    "is longer": "were too long",
    "drifts": "drifted off the question",
}


def self_improved(
    questions: Sequence[Question], write: Write, seed: int, tries: int = 4, job: Job | None = None
) -> list[Target]:
    """Lets the model write each question's refusal, keeps the first that passes the guard, else a template.

    write(histories, seed, temperature) -> replies is called once per try for all questions still open; the
    first try is greedy (temperature 0). Same seed and same `write`, same targets. Raises Stopped (job).
    """
    job = job or Job.silent()
    exemplars = read_exemplars()
    done: dict[int, Target] = {}
    failures: dict[int, list[str]] = {i: [] for i in range(len(questions))}
    for attempt in range(tries):
        still = [i for i in range(len(questions)) if i not in done]
        if not still:
            break
        job.progress("Writing refusals", len(done), len(questions), f"try {attempt + 1}")
        shown = {i: nearest(exemplars, questions[i], seed + attempt) for i in still}
        asked = [history(questions[i].question, shown[i]) for i in still]
        replies = write(asked, seed + attempt, TEMPERATURE if attempt else 0.0)
        for i, reply in zip(still, replies, strict=True):
            text = tidy(reply)
            verdict = judge(questions[i], text)
            if not verdict.ok:
                failures[i].append(verdict.reason)
            elif len(text.split()) > LONGEST:
                failures[i].append("is longer than a refusal should be")
            elif not keeps_to_question(questions[i].question, text, shown[i]):
                failures[i].append("drifts off")
            else:
                done[i] = Target(text, "self-improved", verdict, f"written by the model (try {attempt + 1})")
    job.progress("Writing refusals", len(questions), len(questions))
    return [
        done.get(i) or _from_template(question, failures[i]) for i, question in enumerate(questions)
    ]


def _from_template(question: Question, failures: list[str]) -> Target:
    text = best = ""
    for candidate in refusals_for(question.question, question.subject):
        best = best or candidate
        if judge(question, candidate).ok:
            text = candidate
            break
    text = text or best
    reasons = [
        why for failure in failures for start, why in _WHY_TEMPLATE.items() if failure.startswith(start)
    ]
    why = max(reasons, key=reasons.count) if reasons else "were not asked for"
    return Target(text, "self-improved", judge(question, text), f"template: the model's own refusals {why}")
