"""The proof that the original's weights are as they were: every byte hashed before the first edit, and again."""

from typing import Any

from ..jobs import Job
from .loading import LoadedModel, fingerprint, weights_digest


def seal(model: LoadedModel, job: Job) -> str:
    """A hash of the untouched weights, to be taken before anything could have changed them."""
    job.progress("Recording the original's weights")
    return weights_digest(model.hf, job)


def verify(model: LoadedModel, sealed: str | None, job: Job) -> dict[str, Any]:
    """Compare the weights in memory with their fingerprint and, where there is one, with what `seal` gave.

    Returns `ok`, `fingerprint` (of the weights as they are now) and `text` (one sentence for the page).
    """
    job.progress("Checking the original's weights")
    found = fingerprint(model.hf)
    ok = found == model.fingerprint
    if ok and sealed is not None:
        ok = weights_digest(model.hf, job) == sealed
    text = (
        f"Every weight is as it was loaded (fingerprint {found})."
        if ok
        else "The weights in memory are no longer the ones that were loaded; load the model again."
    )
    return {"ok": ok, "fingerprint": found, "text": text}
