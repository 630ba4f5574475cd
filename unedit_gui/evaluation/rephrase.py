"""Rephrasings of a question, to see whether forgetting carries over to other words.

The model writes them; each is checked, because a small model drifts: it must be one question, keep the
subject (the edit position) and most of what is asked for, differ from the question, and not hold the answer.
Where too few pass, frames stand in that always work ("Could you tell me who painted the Mona Lisa?").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..forget.refusals import content, leaked_words, plain, tokens
from ..forget.subjects import find_subject, locate
from ..forget.targets import asks_for, nearest
from ..forget.templates import clause
from ..jobs import Job

if TYPE_CHECKING:
    from ..forget.questions import Question
    from ..models.writing import Write

TEMPERATURE = 0.8  # of the tries after the first, which is greedy
EXTRA_TRIES = 3  # beyond one per rephrasing asked for
INSTRUCTION = (
    "Ask the user's question in other words. Keep its meaning and every name in it. "
    "Reply with one question only, and do not answer it."
)
# Invented, so that they hold no fact that anybody forgets or scores. The model is shown those that ask alike.
EXEMPLARS = (
    ("What is the capital of Tavira Sund?", "Which city is the capital of Tavira Sund?"),
    ("What is the currency of Ostrevia?", "Can you name the currency of Ostrevia?"),
    ("What is the largest lake in Ostrevia?", "Which lake in Ostrevia is the largest?"),
    ("What is the symbol for velium?", "Which symbol stands for velium?"),
    ("What is a young grimmel called?", "What name is given to a young grimmel?"),
    ("What do grimmels eat?", "Which food do grimmels eat?"),
    (
        "Who wrote the novel The Lanterns of Ostrevik?",
        "Who is the author of the novel The Lanterns of Ostrevik?",
    ),
    ("Who painted The Quessel Bridge?", "Which artist painted The Quessel Bridge?"),
    ("Who discovered the Anselm effect?", "Who is the discoverer of the Anselm effect?"),
    ("Who was the first mayor of Quessel?", "Can you name the first mayor of Quessel?"),
    ("How many strings does a merrowlute have?", "What is the number of strings on a merrowlute?"),
    ("How many moons are there around Velia?", "What is the number of moons around Velia?"),
    ("When did the Harlow Quill Company open?", "In which year did the Harlow Quill Company open?"),
    ("In which year did the Vane War end?", "When did the Vane War end?"),
    ("Where is the village of Ilka Maren?", "In which place is the village of Ilka Maren?"),
    ("Which river flows through Quessel?", "What is the name of the river that flows through Quessel?"),
    ("On which island is Port Tavira?", "Which island is Port Tavira on?"),
    ("Why do the moors of Tavira turn violet?", "What is the reason why the moors of Tavira turn violet?"),
)
SHOWN = 5
# Words that come and go between wordings of one question: those that only point at what is asked ...
_POINTERS = "name person amount called named known given stand say tell identify answer correct use does make"
# ... and those that do so for one kind of question.
_KINDS = {
    "when": "date year time day",
    "where": "place location located found lie lies situated city country continent",
    "who": "name person author writer artist painter composer inventor discoverer founder creator director",
    "how many": "number amount",
}
_NAMES = {"called", "call", "known", "name", "named", "term", "word", "stand", "stands", "mean", "means"}
_ALIKE = (
    "wrote written writer author composed composer",
    "painted painter artist",
    "composed composer musician",
    "invented inventor invention creator",
    "discovered discoverer discovery",
    "founded founder",
    "began begin beginning started start",
    "ended end ending finish finished",
    "located lie lies situated",
    "largest biggest greatest",
    "nearest closest",
    "developed developer creator",
    "directed director",
    "capital city",
    "fell fall",
    "sank sink sunk",
    "died die death",
    "born birth",
    "won win winner",
)
WITH_CLAUSE = (
    "Could you tell me {clause}?",
    "Do you know {clause}?",
    "Can you say {clause}?",
    "I would like to know {clause}, can you help?",
)
AROUND = (
    "Could you tell me: {question}",
    "Please answer this question: {question}",
    "Here is a question for you: {question}",
    "I was asked this today: {question}",
    "What would you reply to this: {question}",
    "Quick question: {question}",
)


@dataclass(frozen=True)
class Rephrased:
    """Rephrasings of one question; notes: where each came from ("written by the model", "a frame: why")."""

    texts: tuple[str, ...]
    notes: tuple[str, ...]


def history(question: str, exemplars: Sequence[tuple[str, str]]) -> list[dict]:
    """The chat that asks the model for another wording, with a few shown as earlier turns."""
    turns: list[dict] = [{"role": "system", "content": INSTRUCTION}]
    for asked, other in exemplars:
        turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": other}]
    return [*turns, {"role": "user", "content": plain(question)}]


def rephrase(
    questions: Sequence[Question], write: Write, *, n: int = 2, seed: int = 0, job: Job | None = None
) -> list[Rephrased]:
    """n rephrasings of each question, different from it, from each other and from those that it brings along.

    write(histories, seed, temperature) -> replies is called once per try for all questions that still lack
    one; the first try is greedy (temperature 0). Same seed and same `write`, same rephrasings. Raises Stopped
    through the job.
    """
    job = job or Job.silent()
    texts: list[list[str]] = [[] for _ in questions]
    why: list[list[str]] = [[] for _ in questions]
    for attempt in range(n + EXTRA_TRIES if n > 0 else 0):
        still = [i for i in range(len(questions)) if len(texts[i]) < n]
        if not still:
            break
        done = sum(len(found) for found in texts)
        job.progress("Writing rephrasings", done, n * len(questions), f"try {attempt + 1}")
        shown = [nearest(EXEMPLARS, questions[i], seed + attempt, SHOWN) for i in still]
        asked = [history(questions[i].question, pairs) for i, pairs in zip(still, shown, strict=True)]
        replies = write(asked, seed + attempt, TEMPERATURE if attempt else 0.0)
        for i, reply in zip(still, replies, strict=True):
            text = tidy(reply)
            problem = check(questions[i], text, (*questions[i].rephrases, *texts[i]))
            if problem:
                why[i].append(problem)
            else:
                texts[i].append(text)
    job.progress("Writing rephrasings", n * len(questions), n * len(questions))
    return [
        _filled(question, found, reasons, n) for question, found, reasons in zip(questions, texts, why, strict=True)
    ]


def tidy(text: str) -> str:
    """The question in a model's reply: up to its first question mark, without quotes and prefixes."""
    text = plain(text)
    text = re.sub(
        r"^(?:(?:question|rephrased(?: question)?|answer|output|reply|q)\s*:\s*|[-*•>#]+\s+|\d+[.)]\s+)+",
        "",
        text,
        flags=re.I,
    )
    if len(text) > 1 and text[0] in "\"'*" and text[-1] == text[0]:
        text = text[1:-1].strip()
    end = text.find("?")
    return text[: end + 1].strip() if end >= 0 else text


def check(question: Question, text: str, others: Sequence[str] = ()) -> str:
    """Why the text is no good rephrasing of the question, in a few words; "" if it is."""
    subject = question.subject or find_subject(question.question)
    if (
        not text.endswith("?")
        or not asks_for(text)
        and not re.match(r"(?i)(can|could|do|would|will|please|name)\b", text)
    ):
        return "was no question"
    if len(text.split()) > 2 * len(question.question.split()) + 10:
        return "was too long"
    if subject and locate(subject, text) is None:
        return "lost the subject"
    if any(tokens(text) == tokens(other) for other in (question.question, *others)):
        return "was the same question"
    if leaked_words(question.question, question.answer, text):
        return "held the answer"
    wanted = re.search(r"\b(?:which|what) (\w+)", text.lower())
    if (
        subject
        and wanted
        and wanted.group(1) in subject.lower().split()
        and wanted.group() not in question.question.lower()
    ):
        return "asked for something else"  # "Which child is plural?"
    if not _same_meaning(question.question, text):
        return "asked for something else"
    return ""


def _same_meaning(question: str, text: str) -> bool:
    """All content words return (or their likes), new ones only point at what is asked, in the same way."""
    asked, said, words = content(question), content(text), {*tokens(text)}
    before, after = asks_for(question), asks_for(text)
    kind = next((kind for kind in _KINDS if kind in before), "")
    if kind == "" and {"year", "date"} & set(tokens(question)):
        kind = "when"
    pointers = set(content(f"{_POINTERS} {_KINDS.get(kind, '')}"))
    lost = [word for word in asked if not _has(word, said)]
    if any(word not in pointers or word in content(_KINDS["who"]) for word in lost):
        return False
    if _NAMES & set(tokens(question)[1:]) and not _NAMES & words:  # "What is ... called?"
        return False
    if any(tokens(text).count(word) > max(1, tokens(question).count(word)) for word in words if word in said):
        return False  # "Which plural is the plural of child?"
    if not all(word in pointers or _has(word, asked) for word in said):
        return False
    if {word for word in after if word.startswith("how")} - before or "why" in before ^ after:
        return False
    if not after or kind in after or (kind == "" and not {"when", "where"} & after):
        return True
    return bool(words & set(_KINDS.get(kind, "").split())) or (kind == "when" and "when" in after)


def _has(word: str, words: Sequence[str]) -> bool:
    like = {other for group in _groups() if word in group for other in group} | {word}
    return any(other in like or _begins_alike(word, other) for other in words)


@lru_cache(maxsize=1)
def _groups() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(content(words)) for words in _ALIKE)


def _begins_alike(a: str, b: str) -> bool:
    """ "invent" and "inventor", "paint" and "painter"."""
    short, long = sorted((a, b), key=len)
    return len(short) >= 5 and long.startswith(short)


def _frames(question: Question) -> Iterator[str]:
    """Wordings around the question that keep its subject as it stands."""
    whole = plain(question.question)
    first, _, rest = whole.partition(" ")
    starts = first.lower() in (
        "what",
        "who",
        "which",
        "where",
        "when",
        "how",
        "why",
        "in",
        "on",
        "at",
        "whose",
    )
    lowered = f"{first.lower()} {rest}" if starts else whole
    made = clause(whole)
    subject = question.subject or find_subject(question.question)
    if made and (not subject or plain(subject) in made):
        yield from (frame.format(clause=made) for frame in WITH_CLAUSE)
    yield from (frame.format(question=lowered) for frame in AROUND)


def _filled(question: Question, found: list[str], reasons: list[str], n: int) -> Rephrased:
    texts, notes = list(found), ["written by the model"] * len(found)
    why = max(reasons, key=reasons.count) if reasons else "was not asked"
    taken = {tuple(tokens(text)) for text in (question.question, *question.rephrases, *texts)}
    for frame in _frames(question):
        if len(texts) >= n:
            break
        if tuple(tokens(frame)) not in taken:
            texts.append(frame)
            notes.append(f"a frame: the model's own {why}")
    return Rephrased(tuple(texts), tuple(notes))
