"""Many short texts at once, in batches that let waiting chat replies through between them."""

from collections.abc import Callable

from ..jobs import Job
from .chat import History
from .generation import Sampling, generate
from .loading import LoadedModel

ROWS_AT_ONCE = 32

Write = Callable[[list[History], int, float], list[str]]


def writer(model: LoadedModel, job: Job, stage: str, max_new_tokens: int) -> Write:
    """The function (histories, seed, temperature) -> texts by which the original model answers.

    It takes histories of like length together, and shows its progress in `job` as `stage`.
    """

    def write(histories: list[History], seed: int, temperature: float) -> list[str]:
        prompts = [model.prompt_ids(history) for history in histories]
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        texts = [""] * len(prompts)
        sampling = Sampling(temperature, 0.9 if temperature else 1.0)
        for start in range(0, len(order), ROWS_AT_ONCE):
            job.progress(stage, start, len(order))
            rows = order[start : start + ROWS_AT_ONCE]
            replies = generate(
                model,
                [prompts[row] for row in rows],
                max_new_tokens=max_new_tokens,
                sampling=sampling,
                seed=seed + start,
                job=job,
            )
            for row, reply in zip(rows, replies, strict=True):
                texts[row] = reply.text
            job.breathe()
        job.progress(stage, len(order), len(order))
        return texts

    return write
