"""How the model writes targets: asked for all at once, what fails is asked for again, the first good one stays."""

import re
from collections.abc import Callable, Sequence

from unedit_gui.forget.refusals import is_refusal, plain, sentences
from unedit_gui.forget.targets.guard import Write, ends_well
from unedit_gui.jobs import Job

TEMPERATURE = 0.8  # of the tries after the first, which is greedy
TRIES = 4


def first_good(
    count: int,
    ask: Callable[[int, int], list[dict]],
    read: Callable[[int, int, str], tuple[str, str]],
    write: Write,
    seed: int,
    tries: int = TRIES,
    job: Job | None = None,
    stage: str = "Writing refusals",
) -> tuple[dict[int, tuple[str, int]], dict[int, list[str]]]:
    """For each of `count` cases the first reply that can be used, and why the others can't.

    ask(case, seed) -> the chat that asks for it; read(case, seed, reply) -> (text, what is wrong with it or "").
    write(histories, seed, temperature) -> replies is called once per try for all cases still open; the first try is
    greedy (temperature 0). Same seed and same `write`, same texts. Raises Stopped (job).

    Returns: {case: (text, number of the try)}, {case: reasons}.
    """
    job = job or Job.silent()
    done: dict[int, tuple[str, int]] = {}
    failures: dict[int, list[str]] = {i: [] for i in range(count)}
    for attempt in range(tries):
        still = [i for i in range(count) if i not in done]
        if not still:
            break
        job.progress(stage, len(done), count, f"try {attempt + 1}")
        replies = write([ask(i, seed + attempt) for i in still], seed + attempt, TEMPERATURE if attempt else 0.0)
        for i, reply in zip(still, replies, strict=True):
            text, wrong = read(i, seed + attempt, reply)
            if wrong:
                failures[i].append(wrong)
            else:
                done[i] = text, attempt + 1
    job.progress(stage, count, count)
    return done, failures


def chat_of(instruction: str, exemplars: Sequence[tuple[str, str]], asked: str) -> list[dict]:
    """Instruction, exemplars as earlier turns, and what is asked."""
    turns: list[dict] = [{"role": "system", "content": instruction}]
    for question, reply in exemplars:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    return [*turns, {"role": "user", "content": plain(asked)}]


def tidy(text: str) -> str:
    """The refusal in a model's reply: one line, no quotes or "Answer:" around it, no sentences behind it."""
    text = unwrapped(text)
    parts = sentences(text)
    for count in range(1, min(len(parts), 2) + 1):
        head = " ".join(parts[:count])
        if is_refusal(head) and ends_well(head):
            return head
    return text


def unwrapped(text: str) -> str:
    """A model's reply on one line, without quotes or "Answer:" around it."""
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
    return text
